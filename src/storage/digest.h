// Digests and encodings that the stores' APIs ask for, by OpenSSL.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

// Raw bytes.
std::string Sha256Of(std::string_view bytes);
std::string HmacSha256(std::string_view key, std::string_view bytes);

// Small letters.
std::string Hex(std::string_view bytes);

std::string Base64(std::string_view bytes);
std::string FromBase64(std::string_view text);  // empty for what is none
// With "-" and "_", without "=" (RFC 7515).
std::string Base64Url(std::string_view bytes);

// RSASSA-PKCS1-v1_5 with SHA-256, as JWTs have it. INVALID_ARGUMENT if `private_key_pem` is no such key; the message does not show it.
StatusOr<std::string> SignRs256(std::string_view private_key_pem, std::string_view bytes);

// Those of a whole file, raw bytes.
struct FileDigests {
  std::string sha256;
  std::string md5;
};
StatusOr<FileDigests> DigestFile(const std::string& path);

}  // namespace tflite_serving
