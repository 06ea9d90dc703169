#include "storage/listing.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "storage/digest.h"

namespace tflite_serving {
namespace {

FileStamp StampOfText(std::string_view text, uint64_t size_bytes) {
  const std::string digest = Sha256Of(text);
  FileStamp stamp{.size_bytes = static_cast<int64_t>(size_bytes)};
  std::memcpy(&stamp.device, digest.data(), sizeof(stamp.device));
  std::memcpy(&stamp.inode, digest.data() + sizeof(stamp.device), sizeof(stamp.inode));
  return stamp;
}

std::string Trimmed(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

}  // namespace

FileStamp StampOf(const RemoteObject& object) { return StampOfText(object.entity_tag, object.size_bytes); }

FileStamp StampOf(std::span<const RemoteObject> objects) {
  std::vector<std::string> lines;
  lines.reserve(objects.size());
  uint64_t size_bytes = 0;
  for (const RemoteObject& object : objects) {
    size_bytes += object.size_bytes;
    lines.push_back(Hex(Sha256Of(object.name)) + Hex(Sha256Of(object.entity_tag)) + std::to_string(object.size_bytes));
  }
  std::ranges::sort(lines);
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return StampOfText(text, size_bytes);
}

Listing::Listing(std::string url, StatusOr<std::vector<RemoteObject>> objects) : url_(Trimmed(std::move(url))), status_(objects.status()) {
  if (!objects.ok()) return;
  objects_ = *std::move(objects);
  std::ranges::sort(objects_, {}, &RemoteObject::name);
}

std::string Listing::NameOf(const std::string& path) const {
  std::string name = path.substr(std::min(url_.size(), path.size()));
  while (name.ends_with('/')) name.pop_back();
  return name.substr(std::min(name.find_first_not_of('/'), name.size()));
}

const RemoteObject* Listing::FileAt(const std::string& path) const {
  const std::string name = NameOf(path);
  const auto found = std::ranges::lower_bound(objects_, name, {}, &RemoteObject::name);
  return found != objects_.end() && found->name == name ? &*found : nullptr;
}

std::span<const RemoteObject> Listing::Below(const std::string& path) const {
  const std::string name = NameOf(path);
  if (name.empty()) return objects_;
  const auto begin = std::ranges::lower_bound(objects_, name + "/", {}, &RemoteObject::name);
  const auto end = std::ranges::lower_bound(begin, objects_.end(), name + static_cast<char>('/' + 1), {}, &RemoteObject::name);
  return {begin, end};
}

StatusOr<FileKind> Listing::Kind(const std::string& path) const {
  if (!status_.ok()) return status_;
  if (FileAt(path) != nullptr) return FileKind::kFile;
  return Below(path).empty() ? FileKind::kMissing : FileKind::kDirectory;
}

StatusOr<FileStamp> Listing::Stamp(const std::string& path) const {
  if (!status_.ok()) return status_;
  if (const RemoteObject* const file = FileAt(path); file != nullptr) return StampOf(*file);
  const std::span<const RemoteObject> below = Below(path);
  if (below.empty()) return NotFoundError(path + " not found");
  return StampOf(below);
}

StatusOr<std::vector<std::string>> Listing::List(const std::string& path) const {
  if (!status_.ok()) return status_;
  const std::string name = NameOf(path);
  const size_t begin = name.empty() ? 0 : name.size() + 1;
  std::vector<std::string> names;
  for (const RemoteObject& object : Below(path)) {
    std::string entry = object.name.substr(begin, object.name.find('/', begin) - begin);
    if (names.empty() || names.back() != entry) names.push_back(std::move(entry));
  }
  // "a-b/c" stands between "a" and "a/b".
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace tflite_serving
