# Computes the signature of a request that was saved: SECRET, ID and TIMESTAMP
# are the endpoint's secret and the headers webhook-id and webhook-timestamp;
# body.json holds the body, byte for byte.
key=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -tx1 | tr -d ' \n')
printf 'v1,'
{ printf '%s.%s.' "$ID" "$TIMESTAMP"; cat body.json; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64

# With it, curl sends your receiver a request that verifies:
#
#   curl http://localhost:8000/ -H "webhook-id: $ID" -H "webhook-timestamp: $TIMESTAMP" \
#     -H "webhook-signature: $SIGNATURE" -H 'content-type: application/json' --data-binary @body.json
