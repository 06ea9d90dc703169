// A web server: files by their URLs, directories by the pages on which it lists them (nginx's autoindex, Apache's, Python's http.server, Caddy's, …).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "storage/environment.h"
#include "storage/http_clients.h"
#include "storage/object_store.h"

namespace tflite_serving {

// What a directory may have: the server is asked for each of them at every look.
inline constexpr size_t kMaxWebFiles = 10'000;
inline constexpr size_t kMaxWebDirectories = 1'000;
inline constexpr size_t kMaxWebDepth = 8;

// A file's tag is its ETag, or its Last-Modified. Names and passwords come from $NETRC or ~/.netrc; redirects are followed.
class WebStore : public ObjectStore {
 public:
  // `root`: "https://host:port".
  WebStore(std::string root, const Environment& environment);

  StatusOr<std::vector<RemoteObject>> List(const std::string& path, TimePoint deadline, const Cancellation& stop) override;
  StatusOr<FileDigests> Read(const std::string& path, const RemoteObject& object, uint64_t offset, const Cancellation& stop,
                             const Sink& sink) override;

 private:
  // The entries of a directory, those that are directories with "/" at the end; NOT_FOUND: the server has no such page.
  StatusOr<std::vector<std::string>> ListDirectory(const std::string& path, TimePoint deadline, const Cancellation& stop);
  StatusOr<RemoteObject> Describe(const std::string& path, TimePoint deadline, const Cancellation& stop);
  Status Failure(const std::string& path, const HttpClientResponse& response) const;
  std::string UrlOf(const std::string& path) const;

  const std::string root_;
  HttpClients clients_;
};

}  // namespace tflite_serving
