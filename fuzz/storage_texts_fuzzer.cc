// What stores answer, and the URLs that people write: whatever the bytes are, what comes out can be sent in a request, and names nothing outside of
// the directory that was asked for. The first byte chooses the format.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http_client/http_client.h"
#include "storage/location.h"
#include "storage/text_formats.h"

namespace {

using tflite_serving::EscapeUrl;
using tflite_serving::IsPlainPath;
using tflite_serving::Location;
using tflite_serving::ObjectsPage;
using tflite_serving::RemoteObject;
using tflite_serving::StatusCode;
using tflite_serving::StatusOr;

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckLocation(std::string_view text) {
  const StatusOr<Location> location = tflite_serving::ParseLocation(text);
  if (!location.ok()) return Require(location.status().code() == StatusCode::kInvalidArgument);
  Require(tflite_serving::IsRemotePath(text) && !location->host().empty());
  Require(location->root.find_first_of(" \r\n@?#") == std::string::npos);
  Require(location->path.empty() || IsPlainPath(location->path));
  const std::string escaped = EscapeUrl(location->path);
  Require(escaped.find_first_of(" \r\n?#") == std::string::npos);
  Require(*tflite_serving::UnescapeUrl(escaped) == location->path);
}

void CheckObjects(std::string_view text) {
  const StatusOr<ObjectsPage> page = tflite_serving::ParseObjectsPage(text);
  if (!page.ok()) return;
  for (const RemoteObject& object : page->objects) Require(!object.name.empty() && tflite_serving::IsHttpHeader("If-Match", object.entity_tag));
}

void CheckDirectory(std::string_view text) {
  for (const std::string& entry : tflite_serving::ParseDirectoryPage(text, "models/m")) {
    const std::string_view name = entry.ends_with('/') ? std::string_view(entry).substr(0, entry.size() - 1) : std::string_view(entry);
    Require(IsPlainPath(name) && name.find('/') == std::string_view::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'u':
      CheckLocation(text);
      break;
    case 'x':
      CheckObjects(text);
      tflite_serving::ParseStoreError(text);
      break;
    case 'h':
      CheckDirectory(text);
      break;
    case 'j':
      (void)tflite_serving::ParseJsonMembers(text);
      break;
    default:
      tflite_serving::ParseIniSection(text, "default");
      break;
  }
  return 0;
}
