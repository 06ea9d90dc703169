#include "runtime/edited_file.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "runtime/flatbuffer.h"
#include "runtime/library_operator.h"
#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

// The old file keeps the alignment that its weights were written with.
constexpr size_t kAlignment = 64;
constexpr size_t kContentAlignment = 64;  // of a buffer's content: library operators read constants only there; the schema asks for 16
constexpr int32_t kStridedSliceVersion = 4;
// Offsets have 32 bits, of which readers trust 31.
constexpr size_t kMaxFileBytes = std::numeric_limits<int32_t>::max();

// A field of a table: a number of at most four bytes, or a reference that is set afterwards.
struct Field {
  int number = 0;
  uint32_t value = 0;
};

// Where something was written, and where each of its references (or values) lies, in their order.
struct Written {
  size_t position = 0;
  std::vector<size_t> slots;
};

// Writes tables and vectors one behind the other. A reference is set once what it leads to has been written, or leads into the old file.
class FrontWriter {
 public:
  FrontWriter() : out_(sizeof(uint32_t) + kTfliteIdentifier.size()) {
    std::memcpy(out_.data() + sizeof(uint32_t), kTfliteIdentifier.data(), kTfliteIdentifier.size());
  }

  Written Table(const std::vector<Field>& fields) {
    const int last = std::ranges::max(fields, {}, &Field::number).number;
    const size_t vtable_bytes = 2 * sizeof(uint16_t) + sizeof(uint16_t) * (static_cast<size_t>(last) + 1);
    const size_t vtable = out_.size();
    out_.resize(vtable + RoundUp(vtable_bytes, sizeof(uint32_t)));
    Put(vtable, static_cast<uint16_t>(vtable_bytes));
    Put(vtable + 2, static_cast<uint16_t>(sizeof(int32_t) + sizeof(uint32_t) * fields.size()));
    Written table{.position = out_.size(), .slots = {}};
    Append(static_cast<uint32_t>(table.position - vtable));
    for (const Field& field : fields) {
      Put(vtable + 4 + 2 * static_cast<size_t>(field.number), static_cast<uint16_t>(out_.size() - table.position));
      table.slots.push_back(out_.size());
      Append(field.value);
    }
    return table;
  }

  // A vector of references, all to be set.
  Written References(size_t count) {
    Written vector{.position = out_.size(), .slots = {}};
    Append(static_cast<uint32_t>(count));
    for (size_t i = 0; i < count; ++i) {
      vector.slots.push_back(out_.size());
      Append(0);
    }
    return vector;
  }

  size_t Int32s(std::span<const int32_t> values) { return Vector(std::as_bytes(values), values.size(), sizeof(int32_t)); }
  size_t Text(std::string_view text) { return Vector(std::as_bytes(std::span(text)), text.size(), sizeof(uint32_t)); }
  size_t Content(std::span<const std::byte> bytes) { return Vector(bytes, bytes.size(), kContentAlignment); }

  void Point(size_t slot, size_t position) { Put(slot, static_cast<uint32_t>(position - slot)); }
  // `position` is one of the old file's.
  void PointIntoFile(size_t slot, size_t position) { into_file_.emplace_back(slot, position); }

  // The finished file.
  StatusOr<AlignedBuffer> Finish(size_t root, std::span<const std::byte> old) {
    Point(0, root);
    out_.resize(RoundUp(out_.size(), kAlignment));
    for (const auto& [slot, position] : into_file_) Point(slot, out_.size() + position);
    const size_t size = out_.size() + old.size();
    AlignedBuffer file;
    if (size > kMaxFileBytes) return ResourceExhaustedError(fmt::format("the edited file would have {} bytes, the limit is {}", size, kMaxFileBytes));
    if (!file.Resize(size)) return ResourceExhaustedError(fmt::format("no memory for the edited file of {} bytes", size));
    std::memcpy(file.data(), out_.data(), out_.size());
    std::memcpy(file.data() + out_.size(), old.data(), old.size());
    return file;
  }

 private:
  static size_t RoundUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

  template <typename T>
  void Put(size_t position, T value) {
    std::memcpy(out_.data() + position, &value, sizeof(value));
  }
  void Append(uint32_t value) {
    out_.resize(out_.size() + sizeof(value));
    Put(out_.size() - sizeof(value), value);
  }
  // The elements lie at a multiple of `alignment`, their number right before them. At least one zero byte follows, as it must behind a text.
  size_t Vector(std::span<const std::byte> bytes, size_t count, size_t alignment) {
    const size_t elements = RoundUp(out_.size() + sizeof(uint32_t), alignment);
    out_.resize(elements - sizeof(uint32_t));
    Append(static_cast<uint32_t>(count));
    out_.insert(out_.end(), bytes.begin(), bytes.end());
    out_.resize(RoundUp(out_.size() + 1, sizeof(uint32_t)));
    return elements - sizeof(uint32_t);
  }

  std::vector<std::byte> out_;
  std::vector<std::pair<size_t, size_t>> into_file_;  // slots, and the old file's positions
};

class EditedFileWriter {
 public:
  // `buffer` is the one that `model` is in.
  EditedFileWriter(const FlatBuffer& buffer, const FlatTable& model, const TfliteFile& file)
      : buffer_(buffer),
        model_(model),
        file_(file),
        buffers_(model.Tables(model_field::kBuffers)),
        codes_(model.Tables(model_field::kOperatorCodes)) {}

  StatusOr<AlignedBuffer> Write(std::span<const std::byte> bytes) {
    namespace field = model_field;
    std::vector<Field> fields = {
        {field::kVersion, model_.Scalar<uint32_t>(field::kVersion)}, {field::kOperatorCodes}, {field::kSubgraphs}, {field::kBuffers}};
    if (!file_.signatures.empty()) fields.push_back({field::kSignatureDefs});
    const size_t own_fields = fields.size();
    for (const int kept : {field::kDescription, field::kMetadataBuffer, field::kMetadata}) {
      if (model_.Target(kept) != 0) fields.push_back({kept});
    }
    const Written root = out_.Table(fields);
    for (size_t i = own_fields; i < fields.size(); ++i) out_.PointIntoFile(root.slots[i], model_.Target(fields[i].number));
    WriteOperatorCodes(root.slots[1]);
    TFLS_RETURN_IF_ERROR(WriteSubgraphs(root.slots[2]));
    WriteBuffers(root.slots[3]);
    if (!file_.signatures.empty()) TFLS_RETURN_IF_ERROR(WriteSignatures(root.slots[4]));
    return out_.Finish(root.position, bytes);
  }

 private:
  // Old tables, and room for `added` behind them. Returns the vector's slots.
  std::vector<size_t> WriteList(size_t slot, const std::vector<FlatTable>& old, size_t added) {
    Written list = out_.References(old.size() + added);
    out_.Point(slot, list.position);
    for (size_t i = 0; i < old.size(); ++i) out_.PointIntoFile(list.slots[i], old[i].position());
    return std::move(list.slots);
  }

  void WriteOperatorCodes(size_t slot) {
    namespace field = operator_code_field;
    std::vector<const FileOperator*> library_operators;  // by number
    for (const FileSubgraph& subgraph : file_.subgraphs) {
      for (const FileOperator& op : subgraph.operators) {
        if (op.library_number >= 0) library_operators.push_back(&op);
      }
    }
    const std::vector<size_t> slots = WriteList(slot, codes_, 1 + library_operators.size());
    out_.Point(slots[codes_.size()], out_.Table({{field::kDeprecatedBuiltinCode, kStridedSliceOperator},
                                                 {field::kVersion, kStridedSliceVersion},
                                                 {field::kBuiltinCode, kStridedSliceOperator}})
                                         .position);
    for (const FileOperator* op : library_operators) {
      const Written table = out_.Table({{field::kDeprecatedBuiltinCode, kCustomOperator},
                                        {field::kCustomCode},
                                        {field::kVersion, static_cast<uint32_t>(op->version)},
                                        {field::kBuiltinCode, kCustomOperator}});
      const auto number = static_cast<size_t>(op->library_number);
      out_.Point(slots[codes_.size() + 1 + number], table.position);
      out_.Point(table.slots[1], out_.Text(RuntimeName(*op)));
    }
  }

  // The reader of the old file bounds how much it reads, and this reads other parts of it than ReadTfliteFile did: to be asked before what was
  // read here is looked up by a number from there.
  Status CheckRead() const { return buffer_.error().empty() ? OkStatus() : InvalidArgumentError(buffer_.error()); }

  Status WriteSubgraphs(size_t slot) {
    const std::vector<FlatTable> old = model_.Tables(model_field::kSubgraphs);
    TFLS_RETURN_IF_ERROR(CheckRead());
    const Written list = out_.References(old.size());
    out_.Point(slot, list.position);
    for (size_t i = 0; i < old.size(); ++i) {
      if (file_.subgraphs[i].is_edited) {
        TFLS_RETURN_IF_ERROR(WriteSubgraph(list.slots[i], old[i], file_.subgraphs[i]));
      } else {
        out_.PointIntoFile(list.slots[i], old[i].position());
      }
    }
    return OkStatus();
  }

  Status WriteSubgraph(size_t slot, const FlatTable& old, const FileSubgraph& subgraph) {
    namespace field = subgraph_field;
    const bool is_named = old.Target(field::kName) != 0;
    std::vector<Field> fields = {{field::kTensors}, {field::kInputs}, {field::kOutputs}, {field::kOperators}};
    if (is_named) fields.push_back({field::kName});
    const Written table = out_.Table(fields);
    out_.Point(slot, table.position);
    if (is_named) out_.PointIntoFile(table.slots[4], old.Target(field::kName));
    out_.Point(table.slots[1], out_.Int32s(subgraph.inputs));
    out_.Point(table.slots[2], out_.Int32s(subgraph.outputs));

    const std::vector<FlatTable> tensors = old.Tables(field::kTensors);
    const std::vector<FlatTable> operators = old.Tables(field::kOperators);
    TFLS_RETURN_IF_ERROR(CheckRead());
    const std::vector<size_t> slots = WriteList(table.slots[0], tensors, subgraph.tensors.size() - tensors.size());
    for (size_t i = tensors.size(); i < subgraph.tensors.size(); ++i) WriteTensor(slots[i], tensors, subgraph.tensors[i]);

    const Written list = out_.References(subgraph.operators.size());
    out_.Point(table.slots[3], list.position);
    for (size_t i = 0; i < subgraph.operators.size(); ++i) {
      const FileOperator& op = subgraph.operators[i];
      if (op.number < 0) {
        WriteSlice(list.slots[i], op);
      } else if (op.library_number >= 0) {
        WriteLibraryOperator(list.slots[i], operators[static_cast<size_t>(op.number)], op);
      } else {
        out_.PointIntoFile(list.slots[i], operators[static_cast<size_t>(op.number)].position());
      }
    }
    return OkStatus();
  }

  void WriteTensor(size_t slot, const std::vector<FlatTable>& old, const FileTensor& tensor) {
    namespace field = tensor_field;
    // Where a dimension is open the shape says 1, and the signature of the shape -1.
    std::vector<int32_t> shape = tensor.dims;
    std::ranges::replace_if(shape, [](int32_t dim) { return dim < 0; }, 1);
    const size_t quantization = tensor.like < 0 ? 0 : old[static_cast<size_t>(tensor.like)].Target(field::kQuantization);
    std::vector<Field> fields = {{field::kShape},
                                 {field::kShapeSignature},
                                 {field::kName},
                                 {field::kType, static_cast<uint32_t>(tensor.type)},
                                 {field::kBuffer, AddBuffer(tensor.constant)},
                                 {field::kHasRank, 1}};
    if (quantization != 0) fields.push_back({field::kQuantization});
    const Written table = out_.Table(fields);
    out_.Point(slot, table.position);
    out_.Point(table.slots[0], out_.Int32s(shape));
    out_.Point(table.slots[1], out_.Int32s(tensor.dims));
    out_.Point(table.slots[2], out_.Text(tensor.name));
    if (quantization != 0) out_.PointIntoFile(table.slots[6], quantization);
  }

  // The number of a buffer with this content. Buffer 0 is the empty one, by the schema.
  uint32_t AddBuffer(std::span<const std::byte> content) {
    if (content.empty()) return 0;
    added_buffers_.push_back(content);
    return static_cast<uint32_t>(buffers_.size() + added_buffers_.size() - 1);
  }

  void WriteSlice(size_t slot, const FileOperator& op) {
    namespace field = operator_field;
    const Written table = out_.Table({{field::kOpcodeIndex, static_cast<uint32_t>(codes_.size())},
                                      {field::kInputs},
                                      {field::kOutputs},
                                      {field::kBuiltinOptionsType, kStridedSliceOptions},
                                      {field::kBuiltinOptions}});
    out_.Point(slot, table.position);
    out_.Point(table.slots[1], out_.Int32s(op.inputs));
    out_.Point(table.slots[2], out_.Int32s(op.outputs));
    const uint32_t first_dimension = 1;
    const Written options =
        out_.Table({{strided_slice_field::kBeginMask, first_dimension}, {strided_slice_field::kEndMask, op.takes_end ? first_dimension : 0}});
    out_.Point(table.slots[4], options.position);
  }

  void WriteLibraryOperator(size_t slot, const FlatTable& old, const FileOperator& op) {
    namespace field = operator_field;
    const bool has_options = old.Target(field::kCustomOptions) != 0;
    std::vector<Field> fields = {{field::kOpcodeIndex, static_cast<uint32_t>(codes_.size() + 1) + static_cast<uint32_t>(op.library_number)},
                                 {field::kInputs},
                                 {field::kOutputs}};
    if (has_options) fields.push_back({field::kCustomOptions});
    const Written table = out_.Table(fields);
    out_.Point(slot, table.position);
    out_.Point(table.slots[1], out_.Int32s(op.inputs));
    out_.Point(table.slots[2], out_.Int32s(op.outputs));
    if (has_options) out_.PointIntoFile(table.slots[3], old.Target(field::kCustomOptions));
  }

  void WriteBuffers(size_t slot) {
    const std::vector<size_t> slots = WriteList(slot, buffers_, added_buffers_.size());
    for (size_t i = 0; i < added_buffers_.size(); ++i) {
      const Written table = out_.Table({{buffer_field::kData}});
      out_.Point(slots[buffers_.size() + i], table.position);
      out_.Point(table.slots[0], out_.Content(added_buffers_[i]));
    }
  }

  Status WriteSignatures(size_t slot) {
    const std::vector<FlatTable> old = model_.Tables(model_field::kSignatureDefs);
    TFLS_RETURN_IF_ERROR(CheckRead());
    const Written list = out_.References(old.size());
    out_.Point(slot, list.position);
    for (size_t i = 0; i < old.size(); ++i) {
      const FileSubgraph& subgraph = file_.subgraphs[static_cast<size_t>(file_.signatures[i].subgraph)];
      if (subgraph.is_edited) {
        WriteSignature(list.slots[i], old[i], file_.signatures[i], subgraph);
      } else {
        out_.PointIntoFile(list.slots[i], old[i].position());
      }
    }
    return OkStatus();
  }

  void WriteSignature(size_t slot, const FlatTable& old, const FileSignature& signature, const FileSubgraph& subgraph) {
    namespace field = signature_field;
    const Written table =
        out_.Table({{field::kInputs}, {field::kOutputs}, {field::kKey}, {field::kSubgraphIndex, static_cast<uint32_t>(signature.subgraph)}});
    out_.Point(slot, table.position);
    std::vector<FileSignature::Entry> inputs = signature.inputs;
    for (const int32_t tensor : subgraph.inputs) {
      const bool is_named = std::ranges::any_of(signature.inputs, [&](const FileSignature::Entry& entry) { return entry.tensor == tensor; });
      if (!is_named) inputs.push_back({fmt::format("input of graph, tensor {}", tensor), tensor});
    }
    WriteEntries(table.slots[0], inputs);
    WriteEntries(table.slots[1], signature.outputs);
    out_.PointIntoFile(table.slots[2], old.Target(field::kKey));
  }

  void WriteEntries(size_t slot, const std::vector<FileSignature::Entry>& entries) {
    const Written list = out_.References(entries.size());
    out_.Point(slot, list.position);
    for (size_t i = 0; i < entries.size(); ++i) {
      const Written table = out_.Table({{tensor_map_field::kName}, {tensor_map_field::kTensorIndex, static_cast<uint32_t>(entries[i].tensor)}});
      out_.Point(list.slots[i], table.position);
      out_.Point(table.slots[0], out_.Text(entries[i].name));
    }
  }

  const FlatBuffer& buffer_;
  const FlatTable model_;
  const TfliteFile& file_;
  const std::vector<FlatTable> buffers_;
  const std::vector<FlatTable> codes_;
  std::vector<std::span<const std::byte>> added_buffers_;
  FrontWriter out_;
};

// What only those fields know that are not copied: absolute positions, and whatever a newer schema adds.
Status CheckEditable(const std::string& path, const FlatTable& model, const TfliteFile& file) {
  const auto refuse = [&](std::string_view reason) {
    return UnimplementedError(fmt::format("{}: the graph has to be edited before the runtime can take it, but {}", path, reason));
  };
  if (model.HasFieldFrom(model_field::kUnknown)) return refuse("the file has fields that this server does not know");
  const std::vector<FlatTable> subgraphs = model.Tables(model_field::kSubgraphs);
  for (size_t i = 0; i < subgraphs.size(); ++i) {
    if (file.subgraphs[i].is_edited && subgraphs[i].HasFieldFrom(subgraph_field::kUnknown)) {
      return refuse("its graph has fields that this server does not know");
    }
  }
  for (const FlatTable& buffer : model.Tables(model_field::kBuffers)) {
    if (buffer.Scalar<uint64_t>(buffer_field::kOffset) > 1) return refuse("the file has weights behind its end, as beyond 2 GB");
  }
  for (const FlatTable& signature : model.Tables(model_field::kSignatureDefs)) {
    if (signature.Target(signature_field::kKey) == 0) return refuse("a signature has no key");
  }
  return OkStatus();
}

}  // namespace

StatusOr<AlignedBuffer> WriteEditedFile(const std::string& path, std::span<const std::byte> bytes, const TfliteFile& file) {
  FlatBuffer buffer(bytes);
  const FlatTable model = buffer.Root(kTfliteIdentifier);
  TFLS_RETURN_IF_ERROR(CheckEditable(path, model, file));
  StatusOr<AlignedBuffer> edited = EditedFileWriter(buffer, model, file).Write(bytes);
  if (!buffer.error().empty()) return InvalidArgumentError(fmt::format("{}: {}", path, buffer.error()));
  if (!edited.ok()) return Status(edited.status().code(), fmt::format("{}: {}", path, edited.status().message()));
  return edited;
}

}  // namespace tflite_serving
