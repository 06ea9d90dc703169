// The codec's own reading and writing of the wire format against protobuf's classes, which any client may use.
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "codec/predict_proto.h"
#include "codec/tensor_proto_decoder.h"
#include "tensorflow/core/framework/tensor.pb.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace tflite_serving {
namespace {

using ::tensorflow::TensorProto;
using ::tensorflow::serving::PredictRequest;
using ::tensorflow::serving::PredictResponse;
using Random = std::mt19937_64;

constexpr DType kTypes[] = {DType::kFloat,  DType::kDouble,     DType::kInt32, DType::kUint8, DType::kInt16,  DType::kInt8,
                            DType::kString, DType::kComplex64,  DType::kInt64, DType::kBool,  DType::kUint16, DType::kBfloat16,
                            DType::kUint32, DType::kComplex128, DType::kHalf,  DType::kUint64};

// A tensor with values in the field of its type, as many as elements.
TensorProto RandomTensor(DType dtype, const Shape& shape, Random& random) {
  TensorProto tensor;
  tensor.set_dtype(static_cast<tensorflow::DataType>(dtype));
  tensor.mutable_tensor_shape();
  for (const int64_t dim : shape.dims()) tensor.mutable_tensor_shape()->add_dim()->set_size(dim);
  for (int64_t i = 0; i < *shape.NumElements(); ++i) {
    const uint64_t bits = random() >> (random() % 64);
    const auto real = static_cast<double>(static_cast<int64_t>(random())) / 1e9;
    switch (dtype) {
      case DType::kFloat:
        tensor.add_float_val(static_cast<float>(real));
        break;
      case DType::kDouble:
        tensor.add_double_val(real);
        break;
      case DType::kComplex64:
        tensor.add_scomplex_val(static_cast<float>(real));
        tensor.add_scomplex_val(static_cast<float>(-real));
        break;
      case DType::kComplex128:
        tensor.add_dcomplex_val(real);
        tensor.add_dcomplex_val(-real);
        break;
      case DType::kString:
        tensor.add_string_val(std::string(bits % 300, static_cast<char>(bits)));
        break;
      case DType::kBool:
        tensor.add_bool_val(bits % 2 == 1);
        break;
      case DType::kInt32:
        tensor.add_int_val(static_cast<int32_t>(bits));
        break;
      case DType::kInt16:
        tensor.add_int_val(static_cast<int16_t>(bits));
        break;
      case DType::kInt8:
        tensor.add_int_val(static_cast<int8_t>(bits));
        break;
      case DType::kUint16:
        tensor.add_int_val(static_cast<uint16_t>(bits));
        break;
      case DType::kUint8:
        tensor.add_int_val(static_cast<uint8_t>(bits));
        break;
      case DType::kInt64:
        tensor.add_int64_val(static_cast<int64_t>(bits));
        break;
      case DType::kUint32:
        tensor.add_uint32_val(static_cast<uint32_t>(bits));
        break;
      case DType::kUint64:
        tensor.add_uint64_val(bits);
        break;
      default:
        tensor.add_half_val(static_cast<uint16_t>(bits));
        break;
    }
  }
  return tensor;
}

// The bytes of `text` as one piece.
class OnePiece {
 public:
  explicit OnePiece(const std::string& text) : piece_(std::as_bytes(std::span(text))) {}
  std::span<const std::span<const std::byte>> pieces() const { return {&piece_, 1}; }

 private:
  std::span<const std::byte> piece_;
};

class PredictConformanceTest : public ::testing::TestWithParam<DType> {
 protected:
  Random random_{static_cast<uint64_t>(GetParam())};
};

std::string TypeName(const ::testing::TestParamInfo<DType>& info) { return std::string(DTypeName(info.param)); }

INSTANTIATE_TEST_SUITE_P(Types, PredictConformanceTest, ::testing::ValuesIn(kTypes), TypeName);

// What protobuf serializes comes back the same after our decoder and our encoder.
TEST_P(PredictConformanceTest, TensorsSurviveTheWayThroughTheServer) {
  // Used again from request to request.
  PredictRequestParts parts;
  std::vector<Tensor> inputs;
  PredictResponseEncoder encoder;
  for (const Shape& shape : {Shape({}), Shape({1}), Shape({0, 3}), Shape({2, 3, 5}), Shape({1000})}) {
    PredictRequest request;
    request.mutable_model_spec()->set_name("m");
    request.mutable_model_spec()->mutable_version()->set_value(3);
    (*request.mutable_inputs())["x"] = RandomTensor(GetParam(), shape, random_);
    const std::string text = request.SerializeAsString();
    const OnePiece piece(text);
    ASSERT_EQ(ParsePredictRequest(piece.pieces(), parts), OkStatus());
    EXPECT_EQ(parts.model_spec.version, 3);

    Signature signature{.key = "serving_default"};
    signature.inputs = {{"x", "x:0", GetParam(), shape}};
    signature.outputs = signature.inputs;
    const Status decoded = DecodePredictInputs(parts, signature, inputs);
    ASSERT_TRUE(decoded.ok()) << decoded.ToString();
    std::vector<TensorView> views{inputs[0].view()};
    EXPECT_TRUE(CheckInputs(signature, views).ok());

    const ServableId servable{"m", 3};
    ASSERT_EQ(encoder.Prepare({servable, signature, views, std::vector<int>{0}}), OkStatus());
    std::string reply(encoder.size(), '?');
    encoder.Write(std::as_writable_bytes(std::span(reply)));
    PredictResponse response;
    ASSERT_TRUE(response.ParseFromString(reply));
    PredictResponse expected;
    *expected.mutable_model_spec() = request.model_spec();
    expected.mutable_model_spec()->set_signature_name("serving_default");
    (*expected.mutable_outputs())["x"] = request.inputs().at("x");
    EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(response, expected)) << response.ShortDebugString() << "\n"
                                                                                        << expected.ShortDebugString();
    EXPECT_EQ(reply.size(), response.ByteSizeLong()) << "as short as protobuf writes it";
  }
}

// With tensor_content, our decoder reads what our encoder wrote, and protobuf reads it too.
TEST_P(PredictConformanceTest, ContentSurvives) {
  const std::string text = RandomTensor(GetParam(), {2, 7}, random_).SerializeAsString();
  const OnePiece piece(text);
  const StatusOr<Tensor> tensor = DecodeTensorProto(WireRange(piece.pieces()));
  ASSERT_TRUE(tensor.ok()) << tensor.status().ToString();
  const StatusOr<TensorProtoEncoder> encoder = TensorProtoEncoder::Create(tensor->view(), /*as_tensor_content=*/true);
  ASSERT_TRUE(encoder.ok()) << encoder.status().ToString();
  std::string content(encoder->size(), '?');
  MessageWriter writer(std::as_writable_bytes(std::span(content)));
  encoder->Write(writer);
  TensorProto parsed;
  ASSERT_TRUE(parsed.ParseFromString(content));
  EXPECT_EQ(parsed.ByteSizeLong(), content.size());
  if (GetParam() != DType::kString) {
    EXPECT_EQ(parsed.tensor_content().size(), tensor->view().bytes.size());
  }
  const OnePiece again(content);
  const StatusOr<Tensor> second = DecodeTensorProto(WireRange(again.pieces()));
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  EXPECT_THAT(second->view().bytes, ::testing::ElementsAreArray(tensor->view().bytes));
}

}  // namespace
}  // namespace tflite_serving
