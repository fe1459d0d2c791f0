require "openssl"

# Whether a request was signed with the secret (whsec_…) in the last five
# minutes. The body must be the bytes as they came: request.body.read.
def genuine?(secret, headers, body)
  id, sent = headers["webhook-id"].to_s, headers["webhook-timestamp"].to_s
  return false unless sent.match?(/\A\d+\z/) && (Time.now.to_i - sent.to_i).abs <= 300

  key = secret.delete_prefix("whsec_").unpack1("m0")
  want = "v1," + [OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{sent}." + body)].pack("m0")
  # There are several signatures while a secret is being changed.
  headers["webhook-signature"].to_s.split.any? { |got| OpenSSL.secure_compare(got, want) }
end
