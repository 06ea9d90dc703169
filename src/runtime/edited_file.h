// Writes a .tflite file anew with edited graphs (graph_edit.h).
//
// References in a FlatBuffer only lead forwards. So what the edit changes (the root table, lists, new tables) is written in front of the old file,
// from where it can refer to all of it, and the old file follows as it was, weights and all.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/status.h"
#include "runtime/tflite_file.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// The bytes of a file that reads as `file`, which was read from `bytes` and then edited: its tensors and operators may be more, its operators in
// another order or fewer, its lists of inputs and outputs others. Tensors added at the end of a subgraph's are constants of int32 or like another
// one. Signatures refer to tensors as in `file`; every input of an edited subgraph that they do not name gets a name made from its number.
// UNIMPLEMENTED for a file with content behind the FlatBuffer (beyond 2 GB), or with fields that nobody here knows. `path` is for messages.
StatusOr<AlignedBuffer> WriteEditedFile(const std::string& path, std::span<const std::byte> bytes, const TfliteFile& file);

}  // namespace tflite_serving
