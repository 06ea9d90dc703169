// Who this is to Amazon S3 and to what speaks its API: as AWS's own programs find it out
// (https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html).
#pragma once

#include <optional>
#include <string>

#include "base/cancellation.h"
#include "base/mutex.h"
#include "base/status.h"
#include "storage/aws_signature.h"
#include "storage/environment.h"
#include "storage/http_clients.h"

namespace tflite_serving {

struct AwsSettings {
  std::string profile;   // AWS_PROFILE
  std::string region;    // AWS_REGION, AWS_DEFAULT_REGION, the profile's; us-east-1
  std::string endpoint;  // AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, without "/" at the end; empty: Amazon's
  std::string ca_file;   // AWS_CA_BUNDLE
};
AwsSettings ReadAwsSettings(const Environment& environment);

// Thread-safe.
class AwsAccess {
 public:
  AwsAccess(Environment environment, const AwsSettings& settings);

  // The first of these that there is:
  //   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN
  //   AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN: a Kubernetes service account's role (IRSA), by AWS STS
  //   the profile in AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials
  //   AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI: EKS Pod Identity and ECS
  //   the instance metadata service (IMDSv2), unless AWS_EC2_METADATA_DISABLED is true
  // Nothing: there are none, and requests go unsigned, which public buckets allow. Temporary ones are asked for anew before they end.
  // UNAVAILABLE: who gives them does not answer as it should.
  StatusOr<std::optional<AwsCredentials>> Credentials(const Cancellation& stop);

 private:
  using Found = Dated<std::optional<AwsCredentials>>;

  StatusOr<Found> Find(const Cancellation& stop);
  StatusOr<Found> AssumeRole(const std::string& token_file, const Cancellation& stop);
  StatusOr<Found> AskContainer(const std::string& url, const Cancellation& stop);
  StatusOr<Found> AskInstance(const Cancellation& stop);

  const Environment environment_;
  const AwsSettings settings_;
  HttpClients clients_;        // to STS
  HttpClients local_clients_;  // to this machine, or what stands for it: by no proxy
  Mutex mutex_;
  std::optional<Found> found_ TFLS_GUARDED_BY(mutex_);
};

}  // namespace tflite_serving
