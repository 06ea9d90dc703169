#include "api/api_keys_file.h"

#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// Of "test" (FIPS 180-4's algorithm; sha256sum).
const std::string kHash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

std::string Error(const std::string& text) { return ParseApiKeys(text, "keys").status().ToString(); }

TEST(ApiKeysTest, NamesScopesHashesAndLimits) {
  const auto keys = ParseApiKeys("# clients\n\n  mobile\tinference,metadata " + kHash + "  rate=0.5 # slow\r\n" +
                                     "ops metrics,admin sha256:" + std::string(64, 'A') + " rate=10 burst=25",
                                 "keys");
  ASSERT_TRUE(keys.ok()) << keys.status().ToString();
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0].name, "mobile");
  EXPECT_TRUE((*keys)[0].has(Scope::kInference) && (*keys)[0].has(Scope::kMetadata));
  EXPECT_FALSE((*keys)[0].has(Scope::kMetrics) || (*keys)[0].has(Scope::kAdmin));
  EXPECT_EQ((*keys)[0].digest, Sha256("test"));
  EXPECT_EQ((*keys)[0].rate_per_second, 0.5);
  EXPECT_EQ((*keys)[0].burst, 1);
  EXPECT_EQ((*keys)[1].burst, 25);
  EXPECT_TRUE(ParseApiKeys("", "keys")->empty());
}

TEST(ApiKeysTest, WhatIsWrongIsNamedByItsLineAndSecretsAreNot) {
  EXPECT_EQ(Error("\na/b inference " + kHash), "INVALID_ARGUMENT: keys:2: a name is up to 64 letters, digits, '_', '-' and '.'");
  EXPECT_EQ(Error("a inference,all " + kHash),
            "INVALID_ARGUMENT: keys:1: \"all\" is no scope; there are inference, metadata, metrics and admin, with commas between");
  for (const char* const key : {"my_secret", "sha256:my_secret", "sha256:zz86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", ""}) {
    EXPECT_EQ(Error(std::string("a inference ") + key),
              "INVALID_ARGUMENT: keys:1: behind the scopes goes sha256: and 64 hexadecimal digits, the hash of the key and not the key itself");
  }
  EXPECT_EQ(Error("a inference " + kHash + " fast"), "INVALID_ARGUMENT: keys:1: after the hash there may be rate=N and burst=N");
  for (const char* const rate : {"0", "-1", "nan", "inf", "1x", "", "1e10"}) {
    EXPECT_THAT(Error("a inference " + kHash + " rate=" + rate), HasSubstr("expected a number above 0, up to 1000000000")) << rate;
  }
  EXPECT_THAT(Error("a inference " + kHash + " burst=2"), HasSubstr("burst goes with a rate"));
  EXPECT_THAT(Error("a inference " + kHash + "\nb admin " + kHash), HasSubstr("keys:2: another line has the same key"));
}

TEST(ApiKeysTest, AsManyAsTheLimitAndOneMore) {
  std::string text;
  const auto add = [&text](size_t i) { text += fmt::format("c{} inference sha256:{:064x}\n", i, i); };
  for (size_t i = 0; i < kMaxApiKeys; ++i) add(i);
  EXPECT_EQ(ParseApiKeys(text, "keys")->size(), kMaxApiKeys);
  add(kMaxApiKeys);
  EXPECT_THAT(Error(text), HasSubstr("keys: more than 1000 keys"));
}

TEST(ApiKeysTest, ANewKeyIsInItsLine) {
  std::string key;
  const auto line = NewApiKeyLine("mobile", "inference,admin", key);
  ASSERT_TRUE(line.ok());
  EXPECT_THAT(*line, StartsWith("mobile inference,admin sha256:"));
  EXPECT_EQ(ParseApiKeys(*line, "keys")->front().digest, Sha256(key));
  EXPECT_EQ(key.size(), sizeof("tfls_") - 1 + 64);
  const std::string first = key;
  ASSERT_TRUE(NewApiKeyLine("mobile", "inference", key).ok());
  EXPECT_NE(key, first);
  EXPECT_FALSE(NewApiKeyLine("m b", "inference", key).ok());
  EXPECT_FALSE(NewApiKeyLine("mobile", "inference,", key).ok());
}

}  // namespace
}  // namespace tflite_serving
