#include "config/ssl_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(SslConfigTest, AllFields) {
  const StatusOr<SslConfig> config = ParseSslConfigText("server_key: 'k\\n1' server_cert: 'c' custom_ca: 'a' client_verify: true", "f");
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(config->server_key, "k\n1");
  EXPECT_EQ(config->server_cert, "c");
  EXPECT_EQ(config->custom_ca, "a");
  EXPECT_TRUE(config->client_verify);
  EXPECT_FALSE(ParseSslConfigText("server_key: 'k' server_cert: 'c'", "f")->client_verify);
}

TEST(SslConfigTest, Errors) {
  const auto error = [](std::string_view text) { return ParseSslConfigText(text, "ssl.conf").status(); };
  EXPECT_EQ(error(""), InvalidArgumentError("server_key is missing (in 'ssl.conf')"));
  EXPECT_EQ(error("server_key: 'k'"), InvalidArgumentError("server_cert is missing (in 'ssl.conf')"));
  EXPECT_EQ(error("server_key: 'k' server_cert: 'c' client_verify: true"),
            InvalidArgumentError("client_verify needs a custom_ca, which says whose certificates are good (in 'ssl.conf')"));
  EXPECT_THAT(error("key: 'k'").message(),
              HasSubstr("Invalid protobuf file: 'ssl.conf': Error parsing text-format tensorflow.serving.SSLConfig: 1:4 (expected is text like: "));
  EXPECT_EQ(ReadSslConfigFile("/nowhere/f.conf").status().code(), StatusCode::kNotFound);
}

TEST(SslConfigTest, ErrorsQuoteNoKey) {
  for (const char* const text : {"server_key: MIIEvQIBADAN", "server_key: \"MIIEvQIBADAN\n\"", "MIIEvQIBADAN", "server_key: 'k' MIIEvQIBADAN: 1",
                                 "server_key: 'MIIEvQIBADAN\\xff'"}) {
    const Status status = ParseSslConfigText(text, "f").status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), Not(HasSubstr("MIIEvQ"))) << text;
  }
}

}  // namespace
}  // namespace tflite_serving
