#include "codec/profile_json.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using std::chrono::nanoseconds;

TEST(ProfileJsonTest, OperatorsInOrder) {
  const OperatorProfile convolution{
      .name = "Convolution (NHWC, F32) IGEMM", .tensor = {}, .operators = {}, .mean = nanoseconds(8000), .calls = 1, .inside = {}};
  const OperatorProfile partition{.name = "XNNPACK delegate: 2 operators",
                                  .tensor = {},
                                  .operators = {"RESHAPE", "CONV_2D"},
                                  .mean = nanoseconds(15250),
                                  .calls = 1,
                                  .inside = {convolution}};
  const OperatorProfile softmax{.name = "SOFTMAX", .tensor = "a\"b", .operators = {}, .mean = nanoseconds(3002), .calls = 2.5, .inside = {}};
  const ModelProfile profile{.id = {"digits", 3},
                             .signature = "serving_default",
                             .inputs = {{"x", "float[1,2]"}, {"n", "int32[]"}},
                             .threads = 2,
                             .runs = 20,
                             .mean = nanoseconds(20000),
                             .min = nanoseconds(19004),
                             .max = nanoseconds(1234567),
                             .delegate = "XNNPACK",
                             .graph_operators = 3,
                             .delegated_operators = 2,
                             .partitions = 1,
                             .operators = {partition, softmax}};
  EXPECT_EQ(ModelProfileJson(profile), R"({
 "model": "digits",
 "version": "3",
 "signature": "serving_default",
 "inputs": {"x": "float[1,2]", "n": "int32[]"},
 "threads": 2,
 "runs": 20,
 "run_us": {"mean": 20.000, "min": 19.004, "max": 1234.567},
 "other_us": 1.748,
 "graph_operators": 3,
 "delegate": {"name": "XNNPACK", "operators": 2, "partitions": 1},
 "operators": [
  {"index": 0, "name": "XNNPACK delegate: 2 operators", "mean_us": 15.250, "share": 0.7625, "calls": 1, "operators": ["RESHAPE", "CONV_2D"], "inside": [
   {"index": 0, "name": "Convolution (NHWC, F32) IGEMM", "mean_us": 8.000, "share": 0.4000, "calls": 1}
  ]},
  {"index": 1, "name": "SOFTMAX", "tensor": "a\"b", "mean_us": 3.002, "share": 0.1501, "calls": 2.5}
 ]
}
)");
}

TEST(ProfileJsonTest, NoOperators) {
  EXPECT_EQ(ModelProfileJson({.id = {"m", 1}, .signature = "s", .runs = 1}), R"({
 "model": "m",
 "version": "1",
 "signature": "s",
 "inputs": {},
 "threads": 1,
 "runs": 1,
 "run_us": {"mean": 0.000, "min": 0.000, "max": 0.000},
 "other_us": 0.000,
 "graph_operators": 0,
 "operators": []
}
)");
}

}  // namespace
}  // namespace tflite_serving
