#include "codec/metadata_json.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

// The expected texts were compared with protobuf's own JSON of the same messages (tensorflow-serving-api's descriptors).

TEST(MetadataJsonTest, Status) {
  const std::vector<VersionStatus> versions{
      {.version = 124, .state = VersionState::kAvailable, .status = OkStatus()},
      {.version = 123, .state = VersionState::kEnd, .status = NotFoundError("no \"file\" </a>\n\x7F")},
  };
  EXPECT_EQ(ModelStatusJson(versions), R"({
 "model_version_status": [
  {
   "version": "124",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  },
  {
   "version": "123",
   "state": "END",
   "status": {
    "error_code": "NOT_FOUND",
    "error_message": "no \"file\" \u003c/a\u003e\n\u007f"
   }
  }
 ]
}
)");
}

TEST(MetadataJsonTest, StatusWithoutVersions) { EXPECT_EQ(ModelStatusJson({}), "{\n \"model_version_status\": []\n}\n"); }

TEST(MetadataJsonTest, ModelList) {
  const std::vector<ModelStatus> models{{.name = "a", .versions = {{.version = 1, .state = VersionState::kAvailable, .memory_bytes = 5}}},
                                        {.name = "b\"", .versions = {}}};
  EXPECT_EQ(ModelListJson(models), R"({
 "models": [
  {
   "name": "a",
   "versions": [
    {
     "version": "1",
     "state": "AVAILABLE",
     "status": {
      "error_code": "OK",
      "error_message": ""
     },
     "memory_bytes": "5"
    }
   ]
  },
  {
   "name": "b\"",
   "versions": []
  }
 ]
}
)");
  EXPECT_EQ(ModelListJson({}), "{\n \"models\": []\n}\n");
}

constexpr char kMetadata[] = R"({
"model_spec":{
 "name": "default",
 "signature_name": "",
 "version": "123"
}
,
"metadata": {"signature_def": {
 "signature_def": {
  "empty": {
   "inputs": {},
   "outputs": {},
   "method_name": "",
   "defaults": {}
  },
  "serving_default": {
   "inputs": {
    "a": {
     "dtype": "DT_UINT8",
     "tensor_shape": {
      "dim": [
       {
        "size": "3",
        "name": ""
       }
      ],
      "unknown_rank": false
     },
     "name": "a:0"
    },
    "x": {
     "dtype": "DT_FLOAT",
     "tensor_shape": {
      "dim": [
       {
        "size": "-1",
        "name": ""
       },
       {
        "size": "1",
        "name": ""
       }
      ],
      "unknown_rank": false
     },
     "name": "x:0"
    }
   },
   "outputs": {
    "y": {
     "dtype": "DT_STRING",
     "tensor_shape": {
      "dim": [],
      "unknown_rank": false
     },
     "name": "y:0"
    }
   },
   "method_name": "tensorflow/serving/predict",
   "defaults": {}
  }
 }
}
}
}
)";

TEST(MetadataJsonTest, QuantizationIsShownWhereItIsKnownAndAskedFor) {
  const Signature signature{
      .key = "s",
      .inputs = {{.name = "x", .tensor_name = "x:0", .dtype = DType::kInt8, .quantization = {{.scale = 0.0625F, .zero_point = -128}}}},
      .outputs = {{.name = "y", .tensor_name = "y:0", .dtype = DType::kFloat}}};
  const std::string text = ModelMetadataJson({"m", 1}, {&signature, 1}, true);
  EXPECT_NE(text.find("\"name\": \"x:0\",\n     \"quantization\": {\n      \"scale\": 0.0625,\n      \"zero_point\": \"-128\"\n     }\n"), text.npos)
      << text;
  EXPECT_EQ(text.find("quantization"), text.rfind("quantization"));
  EXPECT_EQ(ModelMetadataJson({"m", 1}, {&signature, 1}).find("quantization"), text.npos);
}

TEST(MetadataJsonTest, MetadataIsSortedByKey) {
  const std::vector<Signature> signatures{
      {.key = "serving_default",
       .inputs = {{.name = "x", .tensor_name = "x:0", .dtype = DType::kFloat, .shape = {-1, 1}},
                  {.name = "a", .tensor_name = "a:0", .dtype = DType::kUint8, .shape = {3}}},
       .outputs = {{.name = "y", .tensor_name = "y:0", .dtype = DType::kString, .shape = {}}}},
      {.key = "empty", .method_name = ""},
  };
  EXPECT_EQ(ModelMetadataJson({.name = "default", .version = 123}, signatures), kMetadata);
}

TEST(MetadataJsonTest, Readiness) {
  EXPECT_EQ(ReadinessJson(true, false, {}), "{\n \"ready\": true,\n \"draining\": false,\n \"models\": {}\n}\n");
  const std::pair<std::string, std::string> not_serving[] = {{"a\"b", "version 3 is LOADING"}, {"c", "line\nbreak"}};
  EXPECT_EQ(
      ReadinessJson(false, true, not_serving),
      "{\n \"ready\": false,\n \"draining\": true,\n \"models\": {\n  \"a\\\"b\": \"version 3 is LOADING\",\n  \"c\": \"line\\nbreak\"\n }\n}\n");
}

}  // namespace
}  // namespace tflite_serving
