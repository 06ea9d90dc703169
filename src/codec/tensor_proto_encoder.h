// A tensor -> a serialized tensorflow.TensorProto, without a protobuf object in between.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/status.h"
#include "tensor/tensor.h"
#include "wire/message_writer.h"

namespace tflite_serving {

// How one tensor is written. `tensor` must stay valid until it has been.
class TensorProtoEncoder {
 public:
  // With `as_tensor_content`, elements go into tensor_content, else into the repeated field of their type. UNIMPLEMENTED for int4, for which this
  // server has no layout. A string tensor must be sound (ValidateStrings).
  static StatusOr<TensorProtoEncoder> Create(const TensorView& tensor, bool as_tensor_content);

  // Bytes of the whole message.
  size_t size() const { return size_; }
  // Writes exactly size() bytes.
  void Write(MessageWriter& out) const;

 private:
  TensorProtoEncoder() = default;
  size_t ShapeSize() const;
  size_t ValuesSize() const;
  void WriteShape(MessageWriter& out) const;
  void WriteValues(MessageWriter& out) const;
  void WriteStrings(MessageWriter& out) const;

  TensorView tensor_;
  int64_t num_elements_ = 0;
  bool as_tensor_content_ = false;
  uint32_t field_ = 0;      // the one that holds the elements
  size_t values_size_ = 0;  // bytes inside that field; of string_val: of all the fields with their heads
  size_t size_ = 0;
};

}  // namespace tflite_serving
