// Reads JSON values straight into the memory of one tensor.
//
// A tensor in JSON is a scalar or nested lists. Its shape is that of the first element at each level; all others must agree. A complex number is
// a list of two, [re, im], which the shape does not count. The lists of
// numbers are read by the kernels of json_numbers.h, with what is left (structure, strings, booleans, errors) done here, one token at a time.
//
// The messages are those of TensorFlow Serving (json_tensor.cc), since people search for them. Where a value has two faults, the one that
// stands first is reported.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "codec/json_numbers.h"
#include "codec/json_reader.h"
#include "tensor/shape.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// One tensor is read from Start to Finish or FinishRows. Reusable, thread-compatible.
class JsonTensorReader {
 public:
  // Begins a tensor of type `dtype`. `expected` is the shape that it is likely to have, with -1 for what is not known; `json_bytes` the size of
  // the text that is left, which bounds the number of elements. `memory` is reused; its content is lost.
  void Start(DType dtype, const Shape& expected, size_t json_bytes, AlignedBuffer memory);

  // The value at the reader's position is the whole tensor, with at most Shape::kMaxRank levels of lists. Afterwards the reader stands behind
  // it; on failure, anywhere inside.
  //
  // INVALID_ARGUMENT for a value that is no such tensor; UNIMPLEMENTED for int4; RESOURCE_EXHAUSTED beyond kMaxTensorBytes. Broken
  // syntax is reported somehow: it is the caller who asks JsonReader::SkipValue about it first.
  Status ReadValue(JsonReader& json);

  // The value at the reader's position is the next row, which must have the first one's shape, with at most Shape::kMaxRank - 1 levels.
  Status ReadRow(JsonReader& json);
  int64_t rows() const { return rows_; }

  // The tensor read by ReadValue: a value, or a list of rows.
  StatusOr<Tensor> Finish() { return MakeTensor(value_shape_, 0); }
  StatusOr<Tensor> FinishListOfRows() { return MakeTensor(value_shape_, 1); }
  // The tensor read by ReadRow; its shape begins with the number of rows.
  StatusOr<Tensor> FinishRows();

 private:
  Status ReadNested(JsonReader& json, int max_levels);
  Status OpenList(int max_levels);
  // Behind an element: closes the lists that end there. True: the value is complete.
  StatusOr<bool> CloseLists(JsonReader& json);
  // One element, or as many as one run takes.
  Status ReadElements(JsonReader& json);
  // False: an element that cannot be read, or the end of the room.
  bool ReadRun(JsonReader& json);
  Status ReadElement(JsonReader& json);
  Status ReadNumberElement(JsonReader& json);
  Status ReadBoolElement(JsonReader& json);
  Status ReadStringElement(JsonReader& json);

  // Makes room for at least one more element.
  Status Grow();
  Status TypeError(JsonReader& json) const;
  Status CheckRow(int64_t elements) const;
  Shape ShapeOfNest() const;
  // `lists`: the sizes of the nested lists, of which the outermost `row_levels` hold rows.
  StatusOr<Tensor> MakeTensor(const Shape& lists, int row_levels);
  // Without the level of the pairs, if the elements are complex.
  StatusOr<Shape> ElementShape(const Shape& lists, int row_levels) const;
  StatusOr<AlignedBuffer> MakeStrings();

  // The tensor.
  DType dtype_ = DType::kInvalid;
  const NumberReader* numbers_ = nullptr;
  size_t element_bytes_ = 0;  // of a complex number's parts, each of which counts as an element
  size_t max_elements_ = 0;   // more cannot stand in the text
  int64_t elements_ = 0;
  AlignedBuffer buffer_;             // as large as the room for elements; those of fixed size
  std::string text_;                 // the strings' bytes, one behind the other
  std::vector<uint32_t> text_ends_;  // where each string ends
  Shape value_shape_;                // of the value read last
  Shape row_shape_;
  int64_t row_elements_ = 0;
  int64_t rows_ = 0;

  // The value being read.
  static constexpr int64_t kUnknown = -1;
  int level_ = 0;                                  // open lists
  int rank_ = kUnknown;                            // levels of the first element
  std::array<int64_t, Shape::kMaxRank> counts_{};  // elements so far in the open list of each level
  std::array<int64_t, Shape::kMaxRank> sizes_{};   // of the first list that was closed at each level
};

}  // namespace tflite_serving
