#include "config/monitoring_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using testing::HasSubstr;

TEST(MonitoringConfigTest, Paths) {
  EXPECT_EQ(*ParseMonitoringConfigText("prometheus_config { enable: true }", "f"), "/monitoring/prometheus/metrics");
  EXPECT_EQ(*ParseMonitoringConfigText("prometheus_config: { enable: true, path: '/m' }", "f"), "/m");
  for (const char* off : {"", "prometheus_config {}", "prometheus_config { path: '/m' }"}) EXPECT_EQ(*ParseMonitoringConfigText(off, "f"), "") << off;
}

TEST(MonitoringConfigTest, Errors) {
  const Status relative = ParseMonitoringConfigText("prometheus_config { enable: true path: 'm' }", "f.conf").status();
  EXPECT_EQ(relative, InvalidArgumentError("prometheus_config: path must begin with '/', got \"m\" (in 'f.conf')"));
  const Status unknown = ParseMonitoringConfigText("prometheus { }", "f.conf").status();
  EXPECT_EQ(unknown.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(unknown.message(), HasSubstr("Invalid protobuf file: 'f.conf': Error parsing text-format tensorflow.serving.MonitoringConfig: 1:1"));
  EXPECT_EQ(ReadMonitoringConfigFile("/nowhere/f.conf").status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace tflite_serving
