#include "codec/rest_path.h"

#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

StatusOr<RestPath> PathOf(std::string_view method, std::string_view target) {
  RestPath path{.spec = {.name = "another", .version = 7, .version_label = "old"}};  // of the request before
  TFLS_RETURN_IF_ERROR(ParseRestPath(method, target, path));
  return path;
}

// "predict half_plus_two", "status m v5", "metadata m @stable"; an error's message.
std::string Parse(std::string_view method, std::string_view target) {
  const StatusOr<RestPath> path = PathOf(method, target);
  if (!path.ok()) {
    EXPECT_EQ(path.status().code(), StatusCode::kInvalidArgument);
    return path.status().message();
  }
  constexpr std::string_view kNames[] = {"other", "predict", "classify", "regress", "status", "metadata", "profile", "list", "options"};
  std::string text{kNames[static_cast<size_t>(path->route)]};
  if (!path->spec.name.empty()) text += fmt::format(" {}", path->spec.name);
  if (path->spec.version) text += fmt::format(" v{}", *path->spec.version);
  if (!path->spec.version_label.empty()) text += fmt::format(" @{}", path->spec.version_label);
  return text;
}

TEST(RestPathTest, Inference) {
  EXPECT_EQ(Parse("POST", "/v1/models/half_plus_two:predict"), "predict half_plus_two");
  EXPECT_EQ(Parse("POST", "/v1/models/m/versions/5:predict"), "predict m v5");
  EXPECT_EQ(Parse("POST", "/v1/models/m/versions/0:predict"), "predict m v0");
  EXPECT_EQ(Parse("POST", "/v1/models/m/labels/stable:predict"), "predict m @stable");
  EXPECT_EQ(Parse("POST", "/v1/models/m:classify"), "classify m");
  EXPECT_EQ(Parse("POST", "/v1/models/m:regress"), "regress m");
}

TEST(RestPathTest, StatusMetadataAndList) {
  EXPECT_EQ(Parse("GET", "/v1/models/m"), "status m");
  EXPECT_EQ(Parse("GET", "/v1/models/m/versions/123"), "status m v123");
  EXPECT_EQ(Parse("GET", "/v1/models/m/labels/canary"), "status m @canary");
  EXPECT_EQ(Parse("GET", "/v1/models/m/metadata"), "metadata m");
  EXPECT_EQ(Parse("GET", "/v1/models/m/versions/5/metadata"), "metadata m v5");
  EXPECT_EQ(Parse("GET", "/v1/models/m/labels/l/metadata"), "metadata m @l");
  EXPECT_EQ(Parse("GET", "/v1/models/metadata"), "status metadata");
  EXPECT_EQ(Parse("GET", "/v1/models/m/profile"), "profile m");
  EXPECT_EQ(Parse("GET", "/v1/models/m/versions/5/Profile?runs=3"), "profile m v5");
  EXPECT_EQ(Parse("GET", "/v1/models/m/labels/l/profile"), "profile m @l");
  EXPECT_EQ(Parse("GET", "/v1/models/profile"), "status profile");
  EXPECT_EQ(Parse("POST", "/v1/models/m/profile"), "Malformed request: POST /v1/models/m/profile");
  EXPECT_EQ(Parse("GET", "/v1/models/m/profiles"), "Malformed request: GET /v1/models/m/profiles");
  EXPECT_EQ(Parse("GET", "/v1/models/versions/5/profile"), "Malformed request: GET /v1/models/versions/5/profile");
  EXPECT_EQ(Parse("GET", "/v1/models"), "list");
  EXPECT_EQ(Parse("HEAD", "/v1/models/m"), "status m");
}

TEST(RestPathTest, KeywordsMatchInAnyCaseButVerbsDoNot) {
  EXPECT_EQ(Parse("POST", "/V1/Models/M/VERSIONS/5:predict"), "predict M v5");
  EXPECT_EQ(Parse("GET", "/v1/MODELS/m/Labels/L/MetaData"), "metadata m @L");
  EXPECT_EQ(Parse("POST", "/v1/models/m:Predict"), "Malformed request: POST /v1/models/m:Predict");
}

TEST(RestPathTest, PercentEncodingIsDecodedAfterMatching) {
  EXPECT_EQ(Parse("POST", "/v1/models/a%2Fb%3ac:predict"), "predict a/b:c");
  EXPECT_EQ(Parse("GET", "/v1/models/m/labels/x%20y"), "status m @x y");
  EXPECT_EQ(Parse("GET", "/v1/models/100%/labels/%zz%4"), "status 100% @%zz%4");
  EXPECT_EQ(Parse("GET", "/v1/models/%41"), "status A");
  EXPECT_EQ(Parse("GET", "/v1%2Fmodels/m"), "other");
}

TEST(RestPathTest, OptionsIsARouteOfTheWholeApi) {
  for (const char* target : {"/v1/models/m:predict", "/v1/", "/V1/anything"}) EXPECT_EQ(Parse("OPTIONS", target), "options");
  for (const char* target : {"*", "/", "/v1"}) EXPECT_EQ(Parse("OPTIONS", target), "other");
}

TEST(RestPathTest, TheQueryIsNoPartOfThePath) {
  EXPECT_EQ(PathOf("GET", "/v1/models/m?a=b?c")->query, "a=b?c");
  EXPECT_EQ(PathOf("GET", "/v1/models/m?")->query, "");
  EXPECT_EQ(PathOf("GET", "/v1/models/m")->query, "");
  EXPECT_EQ(Parse("POST", "/v1/models/m:predict?x=1"), "predict m");
  EXPECT_EQ(Parse("GET", "/v1/models/m?a=/versions/5:predict"), "status m");
  EXPECT_EQ(Parse("GET", "/v1/models?"), "list");
}

TEST(RestPathTest, QueryParameters) {
  EXPECT_EQ(FindQueryParameter("a=1&b=x%20y%2f+z&b=2", "b"), "x y/ z");
  EXPECT_EQ(FindQueryParameter("a=1&b=x=y", "b"), "x=y");
  EXPECT_EQ(FindQueryParameter("%61=%2B", "a"), "+");
  EXPECT_EQ(FindQueryParameter("a&b=", "a"), "");
  EXPECT_EQ(FindQueryParameter("a&b=", "b"), "");
  EXPECT_EQ(FindQueryParameter("ab=1&&=2", "a"), std::nullopt);
  EXPECT_EQ(FindQueryParameter("", "a"), std::nullopt);
}

TEST(RestPathTest, VersionsBeyondInt64) {
  EXPECT_EQ(Parse("GET", "/v1/models/m/versions/9223372036854775807"), "status m v9223372036854775807");
  EXPECT_EQ(Parse("GET", "/v1/models/m/versions/9223372036854775808"), "Failed to convert version: 9223372036854775808 to numeric.");
  EXPECT_EQ(Parse("POST", "/v1/models/m/versions/18446744073709551615:predict"), "Failed to convert version: 18446744073709551615 to numeric.");
}

TEST(RestPathTest, MalformedRequestsNameMethodAndTarget) {
  for (const std::string target :
       {"/v1/", "/v1/model", "/v1/models/", "/v1/models//versions/5", "/v1/models/m/", "/v1/models/m/versions", "/v1/models/m/versions/",
        "/v1/models/m/versions/x", "/v1/models/m/versions/-1", "/v1/models/m/versions/5x", "/v1/models/m/labels/", "/v1/models/m/versions/5/labels/l",
        "/v1/models/m/metadata/", "/v1/models/m:predict", "/v1/models:predict", "/v1/modelsx", "/v1/metrics?a=b"}) {
    EXPECT_EQ(Parse("GET", target), "Malformed request: GET " + target);
  }
  for (const std::string target : {"/v1/models/m", "/v1/models/m:", "/v1/models/m:predict:predict", "/v1/models/m:predicts", "/v1/models/m:predict/",
                                   "/v1/models/:predict", "/v1/models/m/labels/:predict", "/v1/models/m/metadata:predict", "/v1/models", "/v1/x?y"}) {
    EXPECT_EQ(Parse("POST", target), "Malformed request: POST " + target);
  }
  EXPECT_EQ(Parse("DELETE", "/v1/models/m"), "Malformed request: DELETE /v1/models/m");
  EXPECT_EQ(Parse("PUT", "/v1/models/m:predict"), "Malformed request: PUT /v1/models/m:predict");
  EXPECT_EQ(Parse("get", "/v1/models/m"), "Malformed request: get /v1/models/m");
}

TEST(RestPathTest, VersionsAndLabelsOfNoModel) {
  for (const char* target : {"/v1/models/versions/5", "/v1/models/labels/l/metadata", "/v1/models/Versions/5/metadata"}) {
    EXPECT_EQ(Parse("GET", target), "Missing model name in request.") << target;
  }
  EXPECT_EQ(Parse("GET", "/v1/models/versions"), "status versions");
  EXPECT_EQ(Parse("GET", "/v1/models/labels/metadata"), "metadata labels");
  EXPECT_EQ(Parse("GET", "/v1/models/versions/versions/5"), "status versions v5");
  EXPECT_EQ(Parse("GET", "/v1/models/versions/x"), "Malformed request: GET /v1/models/versions/x");
  EXPECT_EQ(Parse("POST", "/v1/models/versions/5:predict"), "Malformed request: POST /v1/models/versions/5:predict");
}

TEST(RestPathTest, WhatIsNotBelowV1) {
  for (const char* target : {"/", "", "/v1", "/v2/models/m", "/metrics", "v1/models/m", "*", "http://host/v1/models/m"}) {
    EXPECT_EQ(Parse("GET", target), "other") << target;
  }
}

}  // namespace
}  // namespace tflite_serving
