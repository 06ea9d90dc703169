// Signature Version 4 of requests to Amazon S3 and what speaks its API, in the Authorization header
// (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html).
#pragma once

#include <chrono>
#include <string>

#include "http_client/http_client.h"

namespace tflite_serving {

struct AwsCredentials {
  std::string access_key_id;
  std::string secret_access_key;
  std::string session_token;  // of temporary ones; empty: none
};

// Adds X-Amz-Date, X-Amz-Content-Sha256, X-Amz-Security-Token and Authorization to the headers of `request`, which has no body. Its URL is escaped
// as EscapeUrl does it. Signed are its host, its path, its query and its headers of x-amz-*.
void SignForAws(HttpClientRequest& request, const AwsCredentials& credentials, const std::string& region, std::chrono::system_clock::time_point now);

}  // namespace tflite_serving
