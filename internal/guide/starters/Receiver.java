// A receiver of webhooks: it checks the signature, drops repeats, answers at
// once and works afterwards.
//
//   WEBHOOK_SECRET='whsec_…' PORT=8000 java Receiver.java
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Function;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Receiver {
  // BEGIN verify
  /**
   * Whether a request was signed with the secret (whsec_…) in the last five minutes. The body must be the bytes as
   * they came; header finds a header by name, or null.
   */
  static boolean genuine(String secret, Function<String, String> header, byte[] body) throws Exception {
    String id = header.apply("webhook-id"), sent = header.apply("webhook-timestamp"), signatures = header.apply("webhook-signature");
    if (id == null || signatures == null || sent == null || !sent.matches("\\d{1,12}")) return false;
    if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(sent)) > 300) return false;
    byte[] key = Base64.getDecoder().decode(secret.replaceFirst("^whsec_", ""));
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(key, "HmacSHA256"));
    mac.update((id + "." + sent + ".").getBytes(StandardCharsets.UTF_8));
    byte[] want = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
    // There are several signatures while a secret is being changed.
    for (String got : signatures.split(" ")) {
      if (MessageDigest.isEqual(got.getBytes(StandardCharsets.UTF_8), want)) return true;
    }
    return false;
  }
  // END verify

  // The newest ids. A server that may restart keeps them in its database instead, in the transaction that does the
  // work.
  static final Set<String> seen = Collections.synchronizedSet(Collections.newSetFromMap(new LinkedHashMap<>() {
    @Override
    protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
      return size() > 10_000;
    }
  }));

  static void work(byte[] body) {
    System.out.println("received: " + new String(body, StandardCharsets.UTF_8)); // your work goes here
  }

  public static void main(String[] args) throws Exception {
    String secret = System.getenv("WEBHOOK_SECRET"), port = System.getenv("PORT");
    ExecutorService worker = Executors.newSingleThreadExecutor();
    HttpServer server = HttpServer.create(new InetSocketAddress(Integer.parseInt(port)), 0);
    server.setExecutor(Executors.newFixedThreadPool(8));
    server.createContext("/", exchange -> {
      int status = 400;
      try (exchange) {
        byte[] body = exchange.getRequestBody().readNBytes(1 << 20);
        if (genuine(secret, exchange.getRequestHeaders()::getFirst, body)) {
          status = 204;
          if (seen.add(exchange.getRequestHeaders().getFirst("webhook-id"))) worker.submit(() -> work(body));
        }
        exchange.sendResponseHeaders(status, -1);
      } catch (Exception e) {
        System.err.println(e);
      }
    });
    server.start();
    System.out.println("listening on port " + port);
  }
}
