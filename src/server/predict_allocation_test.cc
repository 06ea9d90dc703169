// Binary predict requests allocate nothing in this server's code once the first ones have been answered: from the request's bytes to the reply's, the
// runtime's own library aside. A program of its own (transport/allocation_counter.h).
#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "api/prediction_service.h"
#include "api/rest_v1.h"
#include "runtime/litert_servable.h"
#include "servable/fake_servable_source.h"
#include "tensorflow_serving/apis/predict.pb.h"
#include "transport/allocation_counter.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kName = "a_model_of_a_longer_name";

// A call whose memory is there beforehand. It ends on the thread that began it, since such models run inline.
class ReusedGrpcCall : public GrpcCall {
 public:
  explicit ReusedGrpcCall(const std::string& request)
      : request_(request + std::string(64, 0)), pieces_{std::as_bytes(std::span(request_)).first(request.size())} {}

  std::span<const std::span<const std::byte>> request() const override { return pieces_; }
  void AlignNext(const std::byte* /*byte*/) override {}
  std::string_view metadata(std::string_view /*key*/) const override { return {}; }
  CallIds& ids() override { return ids_; }
  TimePoint deadline() const override { return kNoDeadline; }
  const Cancellation& cancellation() const override { return cancellation_; }
  Status Hold(size_t /*bytes*/) override { return OkStatus(); }
  std::span<std::byte> AllocateReply(size_t size_bytes) override { return std::span(reply_).first(size_ = size_bytes); }
  void Finish(const Status& status) override { ended_well_ = status.ok(); }

  bool ended_well() const { return ended_well_; }
  std::string reply() const { return {reinterpret_cast<const char*>(reply_.data()), size_}; }

 private:
  const std::string request_;
  const std::array<std::span<const std::byte>, 1> pieces_;
  CallIds ids_;
  Cancellation cancellation_;
  std::array<std::byte, 4096> reply_{};
  size_t size_ = 0;
  bool ended_well_ = false;
};

class ReusedHttpCall : public HttpCall {
 public:
  ReusedHttpCall(std::string target, const std::string& body, std::string_view content_type)
      : target_(std::move(target)), memory_(body + std::string(64, '\0')) {
    request_ = {.method = "POST",
                .target = target_,
                .content_type = content_type,
                .body = std::span(memory_).first(body.size()),
                .received_at = Clock::Steady().Now()};
  }

  const HttpRequest& request() const override { return request_; }
  HttpResponse& response() override { return response_; }
  const Cancellation& cancellation() const override { return cancellation_; }
  Status Hold(size_t /*bytes*/) override { return OkStatus(); }
  void Finish() override { status_ = std::exchange(response_.status, 200); }

  // As the connection does before each request.
  void Reset() { response_.Clear(); }
  int status() const { return status_; }
  const std::string& body() const { return response_.body; }

 private:
  const std::string target_;
  std::string memory_;
  HttpRequest request_;
  HttpResponse response_;
  Cancellation cancellation_;
  int status_ = 0;
};

// A model that is always run on the thread that has the request, however slow this machine is just now.
class InlineServable : public Servable {
 public:
  explicit InlineServable(ServableHandle servable) : servable_(std::move(servable)) {}
  const ServableId& id() const override { return servable_->id(); }
  std::span<const Signature> signatures() const override { return servable_->signatures(); }
  void Run(const RunRequest& request, RunDone done) override { servable_->Run(request, std::move(done)); }
  bool RunsInline(size_t /*request_bytes*/) const override { return true; }
  size_t memory_bytes() const override { return servable_->memory_bytes(); }

 private:
  const ServableHandle servable_;
};

class PredictAllocationTest : public testing::Test {
 protected:
  static ServableHandle Load() {
    StatusOr<std::unique_ptr<LiteRtServable>> servable =
        LiteRtServable::Create({std::string(kName), 1}, std::string(TEST_MODELS_DIR) + "/half_plus_two.tflite", {.num_interpreters = 1});
    EXPECT_TRUE(servable.ok()) << servable.status().ToString();
    return std::make_shared<InlineServable>(*std::move(servable));
  }

  // What `count` runs of `ask` allocate, after some that prepare.
  template <typename Ask>
  static int AllocationsOf(int count, const Ask& ask) {
    for (int i = 0; i < 20; ++i) ask();
    const int before = NumAllocations();
    for (int i = 0; i < count; ++i) ask();
    return NumAllocations() - before;
  }

  int AllocationsOf(int count, ReusedHttpCall& call) {
    RestV1 rest(servables_, workers_, Clock::Steady(), {.timeout = std::chrono::milliseconds(0)});
    return AllocationsOf(count, [&] {
      call.Reset();
      rest.Handle(call);
    });
  }

  FakeServableSource servables_{{Load()}};
  WorkerPool workers_{"worker", 1, 16};
};

TEST_F(PredictAllocationTest, Grpc) {
  PredictionService service(servables_, workers_, Clock::Steady(), {});
  tensorflow::serving::PredictRequest request;
  request.mutable_model_spec()->set_name(std::string(kName));
  request.mutable_model_spec()->set_signature_name("serving_default");
  tensorflow::TensorProto& x = (*request.mutable_inputs())["x"];
  x.set_dtype(tensorflow::DT_FLOAT);
  x.mutable_tensor_shape()->add_dim()->set_size(2);
  const std::array<float, 2> numbers = {1, 3};
  x.set_tensor_content(numbers.data(), sizeof(numbers));
  ReusedGrpcCall call(request.SerializeAsString());
  const std::vector<GrpcMethod> methods = service.methods();
  EXPECT_EQ(AllocationsOf(100, [&] { methods[0].handler(call); }), 0);
  ASSERT_TRUE(call.ended_well());
  tensorflow::serving::PredictResponse response;
  ASSERT_TRUE(response.ParseFromString(call.reply()));
  EXPECT_EQ(response.outputs().at("y").float_val(1), 3.5F);
}

TEST_F(PredictAllocationTest, RestRaw) {
  const std::array<float, 2> numbers = {1, 3};
  ReusedHttpCall call(fmt::format("/v1/models/{}:predict", kName), std::string(reinterpret_cast<const char*>(numbers.data()), sizeof(numbers)),
                      "application/octet-stream");
  EXPECT_EQ(AllocationsOf(100, call), 0);
  EXPECT_EQ(call.status(), 200);
  const std::array<float, 2> halves = {2.5, 3.5};
  EXPECT_EQ(call.body(), std::string(reinterpret_cast<const char*>(halves.data()), sizeof(halves)));
}

TEST_F(PredictAllocationTest, RestJson) {
  ReusedHttpCall call(fmt::format("/v1/models/{}:predict", kName), R"({"instances": [1.0, 3.0]})", "application/json");
  EXPECT_EQ(AllocationsOf(100, call), 0);
  EXPECT_EQ(call.status(), 200);
  EXPECT_EQ(call.body(), "{\"predictions\":[2.5,3.5]}");
}

}  // namespace
}  // namespace tflite_serving
