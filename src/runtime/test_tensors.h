// For tests: the models of tests/models, and tensors from literal values.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/sealed_file.h"
#include "runtime/model.h"
#include "tensor/tensor.h"

namespace tflite_serving {

inline std::string TestModelPath(const std::string& name) {
  return name.starts_with("digits") ? std::string(TEST_MODELS_DIR) + "/" + name + "/1/model.tflite"
                                    : std::string(TEST_MODELS_DIR) + "/" + name + ".tflite";
}

inline std::string ReadTestModel(const std::string& name) {
  std::ifstream stream(TestModelPath(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline std::span<const std::byte> AsBytes(const std::string& text) { return std::as_bytes(std::span(text)); }

// Turns one to eight bits of `text` over.
inline void FlipBits(std::string& text, std::mt19937& random) {
  for (unsigned flips = 1 + random() % 8; flips > 0; --flips) {
    char& byte = text[random() % text.size()];
    byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << (random() % 8)));
  }
}

// Ends the test program if the model does not load: there is nothing to test without it.
inline std::unique_ptr<Model> OpenTestModel(const std::string& name) {
  StatusOr<std::unique_ptr<SealedFile>> file = SealedFile::Copy(TestModelPath(name), kMaxModelBytes);
  StatusOr<std::unique_ptr<Model>> model = file.ok() ? Model::Open(name, *std::move(file)) : file.status();
  if (!model.ok()) ADD_FAILURE() << model.status().ToString();
  if (!model.ok()) std::abort();
  return *std::move(model);
}

template <typename T>
Tensor TensorOf(DType dtype, const Shape& shape, const std::vector<T>& values) {
  Tensor tensor = *Tensor::Create(dtype, shape);
  EXPECT_EQ(tensor.bytes().size(), values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(tensor.bytes().data(), values.data(), std::min(tensor.bytes().size(), values.size() * sizeof(T)));
  return tensor;
}
inline Tensor Floats(const Shape& shape, const std::vector<float>& values) { return TensorOf(DType::kFloat, shape, values); }
inline Tensor Int32s(const Shape& shape, const std::vector<int32_t>& values) { return TensorOf(DType::kInt32, shape, values); }
inline Tensor Strings(const Shape& shape, const std::vector<std::string>& values) {
  StringTensorBuilder builder;
  EXPECT_TRUE(builder.Start(static_cast<int64_t>(values.size())).ok());
  for (const std::string& value : values) EXPECT_TRUE(builder.Add(value).ok());
  return Tensor(DType::kString, shape, builder.Finish());
}

template <typename T>
std::vector<T> ValuesOf(const TensorView& view) {
  const auto values = view.values<T>();
  return {values.begin(), values.end()};
}
inline std::vector<std::string> StringsOf(const TensorView& view) {
  std::vector<std::string> values;
  for (int64_t i = 0; i < view.shape.NumElements().value_or(0); ++i) values.emplace_back(view.StringAt(i));
  return values;
}

}  // namespace tflite_serving
