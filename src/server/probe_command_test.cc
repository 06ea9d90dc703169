#include "server/probe_command.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

// As "https://host:port/path", or "unix:path /path".
std::string TextOf(const std::optional<ProbeTarget>& target) {
  if (!target) return "nothing";
  if (!target->socket_path.empty()) return "unix:" + target->socket_path + " " + target->path;
  return (target->tls ? "https://" : "http://") + target->host + ":" + target->port + target->path;
}

std::string OfUrl(std::string_view url) {
  const StatusOr<ProbeTarget> target = ParseProbeUrl(url);
  return target.ok() ? TextOf(*target) : target.status().message();
}

TEST(ProbeTest, ReadsUrls) {
  EXPECT_EQ(OfUrl("http://localhost:8501/healthz"), "http://localhost:8501/healthz");
  EXPECT_EQ(OfUrl("https://h"), "https://h:443/readyz");
  EXPECT_EQ(OfUrl("http://[::1]:80/v1/models?a=b"), "http://::1:80/v1/models?a=b");
  for (const char* const wrong :
       {"", "localhost:8501", "ftp://h/", "http://", "http://:80/", "http://h:/", "http://h:x/", "http://h/a b", "http://h/\r\nX: y"}) {
    EXPECT_EQ(OfUrl(wrong), "\"" + std::string(wrong) + "\": expected http://HOST:PORT/PATH, or https://");
  }
}

TEST(ProbeTest, AsksWhatAServerHas) {
  EXPECT_EQ(TextOf(ProbeTargetOf({.rest_api_port = 9000})), "http://127.0.0.1:9000/readyz");
  EXPECT_EQ(TextOf(ProbeTargetOf({.rest_api_port = 1, .bind_address = "::1", .tls_certificate_file = "c"})), "https://::1:1/readyz");
  EXPECT_EQ(TextOf(ProbeTargetOf({.rest_api_socket_path = "/s"})), "unix:/s /readyz");
  EXPECT_EQ(TextOf(ProbeTargetOf({.port = 8500})), "http://127.0.0.1:8500");
  EXPECT_EQ(TextOf(ProbeTargetOf({.port = 0, .grpc_socket_path = "/g"})), "unix:/g ");
  EXPECT_EQ(TextOf(ProbeTargetOf({.rest_api_port = 1, .tls_certificate_file = "c", .tls_client_ca_file = "a"})), "https://127.0.0.1:1");
}

TEST(ProbeTest, FindsTheServerOfACommandLine) {
  const auto of = [](std::string words) {
    for (char& c : words) c = c == ' ' ? '\0' : c;
    return TextOf(ProbeTargetOf(std::string_view(words)));
  };
  EXPECT_EQ(of("/usr/bin/tf_serving_entrypoint.sh "), "http://127.0.0.1:8501/readyz");
  EXPECT_EQ(of("/usr/bin/tf_serving_entrypoint.sh /usr/bin/tf_serving_entrypoint --rest_api_port=9 "), "http://127.0.0.1:9/readyz");
  EXPECT_EQ(of("/sbin/docker-init -- /usr/bin/tensorflow_model_server --model_base_path=/m --rest_api_port=7 "), "http://127.0.0.1:7/readyz");
  EXPECT_EQ(of("/bin/sh -c something "), "nothing");
  EXPECT_EQ(of("tflite_model_server --no_such_flag "), "nothing");
  EXPECT_EQ(of(""), "nothing");
}

}  // namespace
}  // namespace tflite_serving
