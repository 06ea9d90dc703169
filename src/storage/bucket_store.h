// Amazon S3, what speaks its API, and Google Cloud Storage, whose XML API is the same for what is asked here
// (https://cloud.google.com/storage/docs/xml-api/overview): ListObjectsV2 and GetObject.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "storage/aws_access.h"
#include "storage/environment.h"
#include "storage/google_access.h"
#include "storage/object_store.h"

namespace tflite_serving {

// A bucket. Where it is asked:
//   s3://  https://BUCKET.s3.REGION.amazonaws.com, or below AWS_ENDPOINT_URL(_S3); a bucket in another region says so, and is asked there
//   gs://  https://storage.googleapis.com/BUCKET, below CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE, or, without a token,
//         below STORAGE_EMULATOR_HOST
class BucketStore : public ObjectStore {
 public:
  static std::unique_ptr<BucketStore> ForS3(const std::string& bucket, const Environment& environment);
  static std::unique_ptr<BucketStore> ForGoogle(const std::string& bucket, const Environment& environment);

  StatusOr<std::vector<RemoteObject>> List(const std::string& path, TimePoint deadline, const Cancellation& stop) override;
  StatusOr<FileDigests> Read(const std::string& path, const RemoteObject& object, uint64_t offset, const Cancellation& stop,
                             const Sink& sink) override;

 private:
  BucketStore(std::string url, std::string bucket, AwsSettings settings, const std::string& ca_file)
      : url_(std::move(url)),
        bucket_(std::move(bucket)),
        settings_(std::move(settings)),
        clients_(ClientOptions(ca_file)),
        region_(settings_.region) {}
  static HttpClientOptions ClientOptions(const std::string& ca_file);

  std::string EndpointOf(const std::string& region) const;
  // Signed, and sent once more where the answer names another region. `target`: behind the bucket, from "/" on, escaped.
  StatusOr<HttpClientResponse> Send(const std::string& target, const HttpClientHeaders& headers, TimePoint deadline, const Cancellation& stop,
                                    const HttpClient::Sink& sink = {});
  Status Authorize(HttpClientRequest& request, const std::string& region, const Cancellation& stop);
  Status Failure(const std::string& path, const HttpClientResponse& response) const;

  const std::string url_;  // "s3://bucket", for messages
  const std::string bucket_;
  const AwsSettings settings_;      // of Google's: none
  std::unique_ptr<AwsAccess> aws_;  // one of these two
  std::unique_ptr<GoogleAccess> google_;
  std::string google_endpoint_;
  bool has_token_ = true;  // Google's emulator takes none
  HttpClients clients_;
  Mutex mutex_;
  std::string region_ TFLS_GUARDED_BY(mutex_);  // of the bucket, as far as is known
};

}  // namespace tflite_serving
