// The requests that a model brings along to be warmed up with: VERSION_DIRECTORY/assets.extra/tf_serving_warmup_requests, a TFRecord file of
// tensorflow.serving.PredictionLog messages (proto/tensorflow_serving/apis/prediction_log.proto of TensorFlow Serving). What it does with them is in
// its saved_model_warmup_util.cc.
#pragma once

#include <cstddef>
#include <istream>
#include <string>
#include <string_view>

#include "base/cancellation.h"
#include "base/status.h"
#include "servable/servable.h"

namespace tflite_serving {

inline constexpr std::string_view kWarmUpRequestsFile = "assets.extra/tf_serving_warmup_requests";
inline constexpr size_t kMaxWarmUpRecords = 1000;

// Sends every request of the version's file to `servable`, `iterations` times each (at least once), through the same code that requests of clients
// take, one after the other. No file is fine. A request's signature is its own, its model name and version are not looked at. Records without a
// log are passed over. A model whose state is kept (--keep_state) keeps what they leave behind. Blocks; a run takes the time that it takes, at the
// calling thread's priority.
//
// Ends with CANCELLED once `stop` is set. Other errors name the file and the record: DATA_LOSS for what is no TFRecord file, INVALID_ARGUMENT for
// what is no PredictionLog and for more than kMaxWarmUpRecords, UNIMPLEMENTED for logs of SessionRun and streamed Predict, TfRecordReader's others,
// and those of the requests.
Status ReplayWarmupRequests(Servable& servable, const std::string& version_directory, int iterations, const Cancellation& stop);

// The same over an open file; `path` is for messages.
Status ReplayWarmupRequests(Servable& servable, std::istream& file, const std::string& path, int iterations, const Cancellation& stop);

}  // namespace tflite_serving
