<?php
// A receiver of webhooks: it checks the signature, drops repeats and answers at
// once.
//
//   WEBHOOK_SECRET='whsec_…' php -S 0.0.0.0:8000 receiver.php

// BEGIN verify
// Whether a request was signed with the secret (whsec_…) in the last five
// minutes. The body must be the bytes as they came: file_get_contents('php://input').
function genuine(string $secret, array $headers, string $body): bool
{
    $id = $headers['webhook-id'] ?? '';
    $sent = $headers['webhook-timestamp'] ?? '';
    if (!ctype_digit($sent) || abs(time() - (int) $sent) > 300) {
        return false;
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$sent.$body", $key, true));
    // There are several signatures while a secret is being changed.
    foreach (explode(' ', $headers['webhook-signature'] ?? '') as $got) {
        if (hash_equals($want, $got)) {
            return true;
        }
    }
    return false;
}
// END verify

// Whether an id is new; it is remembered, here as an empty file. A server with
// a database keeps the ids there, in the transaction that does the work.
function first(string $id): bool
{
    $dir = sys_get_temp_dir() . '/webhooks-seen';
    @mkdir($dir, 0700);
    return @fopen($dir . '/' . hash('sha256', $id), 'x') !== false;
}

$body = file_get_contents('php://input', length: 1 << 20);
$headers = array_change_key_case(getallheaders(), CASE_LOWER);
if (!genuine(getenv('WEBHOOK_SECRET'), $headers, $body)) {
    http_response_code(400);
    exit;
}
http_response_code(204);
if (first($headers['webhook-id'])) {
    // Your work goes here. What takes longer than a moment belongs in a queue,
    // so that the answer is not late.
    error_log('received: ' . (json_decode($body, true)['text'] ?? ''));
}
