#include "storage/bucket_store.h"

#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "storage/digest.h"
#include "storage/location.h"
#include "storage/text_formats.h"

namespace tflite_serving {
namespace {

constexpr size_t kMaxPageBytes = size_t{8} << 20;  // of a listing; a thousand keys of 1024 bytes take less
constexpr std::chrono::seconds kIdleTimeout{30};
constexpr std::string_view kGoogleEndpoint = "https://storage.googleapis.com";

// The MD5 that an entity tag is where nothing says otherwise; empty: it is none. Those of uploads in parts have a "-".
std::string Md5OfTag(std::string_view tag) {
  constexpr size_t kHexChars = 32;
  if (tag.starts_with('"') && tag.ends_with('"') && tag.size() >= 2) tag = tag.substr(1, tag.size() - 2);
  std::string digest;
  for (size_t i = 0; i + 1 < tag.size() && tag.size() == kHexChars; i += 2) {
    unsigned byte = 0;
    const auto [end, error] = std::from_chars(tag.data() + i, tag.data() + i + 2, byte, 16);
    if (error != std::errc() || end != tag.data() + i + 2) return {};
    digest.push_back(static_cast<char>(byte));
  }
  return digest;
}

// "crc32c=…,md5=…": the value of one; empty: it has none.
std::string GoogleHash(std::string_view header, std::string_view name) {
  const size_t at = header.find(fmt::format("{}=", name));
  if (at == std::string_view::npos) return {};
  header.remove_prefix(at + name.size() + 1);
  return std::string(header.substr(0, header.find_first_of(", ")));
}

// It becomes part of a host's name.
bool IsRegion(std::string_view text) {
  return !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
}

// Of an object stored with keys of KMS, or of the customer, the tag is no MD5.
bool HasOwnKeys(const HttpClientResponse& response) {
  return response.Header("x-amz-server-side-encryption").starts_with("aws:kms") ||
         !response.Header("x-amz-server-side-encryption-customer-algorithm").empty();
}

}  // namespace

HttpClientOptions BucketStore::ClientOptions(const std::string& ca_file) {
  return {.idle_timeout = kIdleTimeout, .max_body_bytes = kMaxPageBytes, .ca_file = ca_file};
}

std::unique_ptr<BucketStore> BucketStore::ForS3(const std::string& bucket, const Environment& environment) {
  const AwsSettings settings = ReadAwsSettings(environment);
  std::unique_ptr<BucketStore> store(new BucketStore("s3://" + bucket, bucket, settings, settings.ca_file));
  store->aws_ = std::make_unique<AwsAccess>(environment, settings);
  return store;
}

std::unique_ptr<BucketStore> BucketStore::ForGoogle(const std::string& bucket, const Environment& environment) {
  std::unique_ptr<BucketStore> store(new BucketStore("gs://" + bucket, bucket, {}, environment("SSL_CERT_FILE")));
  store->google_ = std::make_unique<GoogleAccess>(environment);
  store->google_endpoint_ = environment("STORAGE_EMULATOR_HOST");
  store->has_token_ = store->google_endpoint_.empty();
  if (store->has_token_) store->google_endpoint_ = environment("CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE");
  if (store->google_endpoint_.empty()) store->google_endpoint_ = kGoogleEndpoint;
  if (store->google_endpoint_.find("://") == std::string::npos) store->google_endpoint_ = "http://" + store->google_endpoint_;
  while (store->google_endpoint_.ends_with('/')) store->google_endpoint_.pop_back();
  return store;
}

std::string BucketStore::EndpointOf(const std::string& region) const {
  if (google_ != nullptr) return fmt::format("{}/{}", google_endpoint_, bucket_);
  if (!settings_.endpoint.empty()) return fmt::format("{}/{}", settings_.endpoint, bucket_);
  const std::string_view country = region.starts_with("cn-") ? ".cn" : "";
  // A certificate of *.s3.… does not cover a bucket with dots.
  if (bucket_.find('.') != std::string::npos) return fmt::format("https://s3.{}.amazonaws.com{}/{}", region, country, bucket_);
  return fmt::format("https://{}.s3.{}.amazonaws.com{}", bucket_, region, country);
}

Status BucketStore::Authorize(HttpClientRequest& request, const std::string& region, const Cancellation& stop) {
  if (google_ != nullptr) {
    if (!has_token_) return OkStatus();
    TFLS_ASSIGN_OR_RETURN(const std::string token, google_->Token(stop));
    if (!token.empty()) request.headers.emplace_back("Authorization", "Bearer " + token);
    return OkStatus();
  }
  TFLS_ASSIGN_OR_RETURN(const std::optional<AwsCredentials> credentials, aws_->Credentials(stop));
  if (credentials) SignForAws(request, *credentials, region, std::chrono::system_clock::now());
  return OkStatus();
}

StatusOr<HttpClientResponse> BucketStore::Send(const std::string& target, const HttpClientHeaders& headers, TimePoint deadline,
                                               const Cancellation& stop, const HttpClient::Sink& sink) {
  std::string region;
  {
    const MutexLock lock(mutex_);
    region = region_;
  }
  for (bool is_first = true;; is_first = false) {
    HttpClientRequest request{.url = EndpointOf(region) + target, .headers = headers};
    TFLS_RETURN_IF_ERROR(Authorize(request, region, stop));
    HttpClientResponse response = clients_.Send(request, deadline, stop, sink);
    const std::string_view other = response.Header("x-amz-bucket-region");
    const bool is_elsewhere = google_ == nullptr && response.status / 100 > 2 && IsRegion(other) && other != region;
    if (!is_first || !is_elsewhere) return response;
    region = other;
    const MutexLock lock(mutex_);
    region_ = region;
  }
}

Status BucketStore::Failure(const std::string& path, const HttpClientResponse& response) const {
  const std::string reason = ParseStoreError(response.body);
  const std::string text = fmt::format("{}/{}: {}", url_, path,
                                       response.status == 0 ? response.error
                                       : reason.empty()     ? fmt::format("HTTP status {}", response.status)
                                                            : reason);
  switch (response.status) {
    case 401:
    case 403:
      return {StatusCode::kPermissionDenied, text};
    case 404:
      return NotFoundError(text);
    case 412:
      return UnavailableError(fmt::format("{}/{} has changed since it was listed", url_, path));
    default:
      break;
  }
  return response.status == 0 || response.status == 429 || response.status >= 500 ? UnavailableError(text) : UnknownError(text);
}

StatusOr<std::vector<RemoteObject>> BucketStore::List(const std::string& path, TimePoint deadline, const Cancellation& stop) {
  const bool is_file = IsModelFilePath(path);
  const std::string prefix = is_file || path.empty() ? path : path + "/";
  std::vector<RemoteObject> objects;
  std::string page_token;
  do {
    // The parameters in the order of their names, as they are signed.
    const std::string target = fmt::format("/?{}{}list-type=2&max-keys={}&prefix={}", page_token.empty() ? "" : "continuation-token=",
                                           page_token.empty() ? "" : EscapeUrl(page_token, true) + "&", is_file ? 1 : 1000, EscapeUrl(prefix, true));
    TFLS_ASSIGN_OR_RETURN(const HttpClientResponse response, Send(target, {}, deadline, stop));
    if (response.status != 200) return Failure(path, response);
    StatusOr<ObjectsPage> page = ParseObjectsPage(response.body);
    if (!page.ok()) return Status(page.status().code(), fmt::format("{}/{}: {}", url_, path, page.status().message()));
    for (RemoteObject& object : page->objects) {
      if (!object.name.starts_with(prefix)) return UnavailableError(fmt::format("{}/{}: a listing has what was not asked for", url_, path));
      object.name.erase(0, prefix.size());
      // Neither the mark of a directory nor, of a file, another one whose name is longer.
      if (object.name.empty() == is_file && !object.name.ends_with('/')) objects.push_back(std::move(object));
    }
    if (objects.size() > kMaxListedObjects) {
      return ResourceExhaustedError(fmt::format("{}/{} has more than {} objects", url_, path, kMaxListedObjects));
    }
    page_token = is_file ? "" : std::move(page->next_page);
  } while (!page_token.empty());
  return objects;
}

StatusOr<FileDigests> BucketStore::Read(const std::string& path, const RemoteObject& object, uint64_t offset, const Cancellation& stop,
                                        const Sink& sink) {
  HttpClientHeaders headers = {{"If-Match", object.entity_tag}};
  if (aws_ != nullptr) headers.emplace_back("x-amz-checksum-mode", "ENABLED");
  if (offset > 0) headers.emplace_back("Range", fmt::format("bytes={}-", offset));
  uint64_t at = 0;
  const auto take = [&](const HttpClientResponse& head, std::string_view piece) {
    const uint64_t begin = (head.status == 206 ? offset : 0) + at;
    at += piece.size();
    return sink(begin, piece);
  };
  TFLS_ASSIGN_OR_RETURN(const HttpClientResponse response, Send(fmt::format("/{}", EscapeUrl(path)), headers, kNoDeadline, stop, take));
  if (response.status != 200 && response.status != 206) return Failure(path, response);
  if (google_ != nullptr) return FileDigests{.sha256 = {}, .md5 = FromBase64(GoogleHash(response.Header("x-goog-hash"), "md5"))};
  return FileDigests{// Of an upload in parts it is one of the parts' digests, and says so.
                     .sha256 = response.Header("x-amz-checksum-type") == "COMPOSITE" ? "" : FromBase64(response.Header("x-amz-checksum-sha256")),
                     .md5 = HasOwnKeys(response) ? "" : Md5OfTag(object.entity_tag)};
}

}  // namespace tflite_serving
