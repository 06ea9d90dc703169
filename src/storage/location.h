// Where objects lie: the URLs that base paths may be.
//
//   s3://bucket/models/digits             Amazon S3, and whatever speaks its API (AWS_ENDPOINT_URL)
//   gs://bucket/models/digits             Google Cloud Storage
//   https://host[:port]/models/digits     a web server; also http://
//
// A path that ends in ".tflite" is a file, any other a directory.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

enum class StoreKind { kS3, kGoogle, kWeb };

struct Location {
  StoreKind kind = StoreKind::kS3;
  std::string root;  // "s3://bucket", or "https://host:port"
  std::string path;  // below it, without slashes at its ends; not escaped. Empty: the root itself

  // "https" of https://host, "bucket" of s3://bucket.
  std::string scheme() const { return root.substr(0, root.find(':')); }
  std::string host() const { return root.substr(root.find("//") + 2); }
};

// Whether it begins like one of these.
bool IsRemotePath(std::string_view path);

// INVALID_ARGUMENT for a URL that has no bucket or host, has a user, a query or a fragment, or whose path has ".", ".." or nothing between two
// slashes. A message shows no password.
StatusOr<Location> ParseLocation(std::string_view url);

// Whether such a path is that of a file.
bool IsModelFilePath(std::string_view path);

// Whether a path below a root may be the path of a local file below a directory: its parts are not empty, "." or "..", and of at most 255 bytes.
bool IsPlainPath(std::string_view path);

// Percent-encoded as S3 has it signed: everything but letters, digits, "-._~" and, unless it is `with_slashes`, "/".
std::string EscapeUrl(std::string_view text, bool with_slashes = false);

// Nothing if it has a "%" without two hexadecimal digits behind it, or a NUL.
StatusOr<std::string> UnescapeUrl(std::string_view text);

}  // namespace tflite_serving
