using System.Globalization;
using System.Security.Cryptography;
using System.Text;

static class Webhooks
{
    // Whether a request was signed with the secret (whsec_…) in the last five
    // minutes. The body must be the bytes as they came; header finds a header
    // by name, or null.
    public static bool Genuine(string secret, Func<string, string?> header, byte[] body)
    {
        string id = header("webhook-id") ?? "", sent = header("webhook-timestamp") ?? "";
        if (!long.TryParse(sent, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds)) return false;
        if (Math.Abs(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - seconds) > 300) return false;

        byte[] key = Convert.FromBase64String(secret.StartsWith("whsec_") ? secret[6..] : secret);
        byte[] signed = [.. Encoding.UTF8.GetBytes($"{id}.{sent}."), .. body];
        byte[] want = Encoding.UTF8.GetBytes("v1," + Convert.ToBase64String(HMACSHA256.HashData(key, signed)));

        // There are several signatures while a secret is being changed.
        foreach (string got in (header("webhook-signature") ?? "").Split(' '))
        {
            if (CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(got), want)) return true;
        }
        return false;
    }
}
