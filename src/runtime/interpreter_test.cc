#include "runtime/interpreter.h"

#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/sample_inputs.h"
#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A model of tests/models and one interpreter for it.
class Runner {
 public:
  explicit Runner(const std::string& name, const InterpreterOptions& options = {})
      : model_(OpenTestModel(name)), interpreter_(*Interpreter::Create(*model_, options)) {}

  StatusOr<std::span<const TensorView>> Run(const std::vector<Tensor>& inputs, TimePoint deadline = kNoDeadline) {
    return RunSignature(0, inputs, deadline);
  }
  StatusOr<std::span<const TensorView>> RunSignature(size_t number, const std::vector<Tensor>& inputs, TimePoint deadline = kNoDeadline) {
    return interpreter_->Run(number, ViewsOf(inputs), deadline);
  }
  // The one output of a run that must go well.
  TensorView Output(const std::vector<Tensor>& inputs, std::string_view name = "") {
    const StatusOr<std::span<const TensorView>> outputs = Run(inputs);
    EXPECT_TRUE(outputs.ok()) << outputs.status().ToString();
    if (!outputs.ok()) return {};
    return name.empty() ? outputs->front() : (*outputs)[static_cast<size_t>(signature().FindOutput(name))];
  }
  template <typename T>
  std::vector<Tensor> Inputs(T&& input) {
    std::vector<Tensor> inputs;
    inputs.push_back(std::forward<T>(input));
    return inputs;
  }
  std::vector<float> RunFloats(Tensor input, std::string_view name = "") { return ValuesOf<float>(Output(Inputs(std::move(input)), name)); }
  StatusOr<std::span<const TensorView>> RunOne(Tensor input, TimePoint deadline = kNoDeadline) { return Run(Inputs(std::move(input)), deadline); }

  const Signature& signature() const { return model_->graph().signatures[0].signature; }
  Interpreter& interpreter() { return *interpreter_; }
  const Model& model() const { return *model_; }

 private:
  std::unique_ptr<Model> model_;
  std::unique_ptr<Interpreter> interpreter_;
};

TEST(InterpreterTest, FollowsTheBatchUpAndDown) {
  Runner runner("half_plus_two");
  for (const int64_t batch : {1, 3, 1, 100, 3, 3, 5000, 2, 1}) {
    std::vector<float> x;
    std::vector<float> y;
    for (int64_t i = 0; i < batch; ++i) {
      x.push_back(static_cast<float>(i + batch));
      y.push_back(0.5F * x.back() + 2);
    }
    EXPECT_EQ(runner.RunFloats(Floats({batch}, x)), y) << batch;
  }
}

TEST(InterpreterTest, ReadsInputsInPlaceAndKeepsItsOutputMemory) {
  Runner runner("half_plus_two");
  Tensor input = Floats({4}, {0, 2, 4, 6});
  const std::vector<TensorView> views = {input.view()};
  const TensorView first = (*runner.interpreter().Run(0, views, kNoDeadline)).front();
  EXPECT_EQ(ValuesOf<float>(first), (std::vector<float>{2, 3, 4, 5}));
  const float changed = 100;
  std::memcpy(input.bytes().data(), &changed, sizeof(changed));
  const TensorView second = (*runner.interpreter().Run(0, views, kNoDeadline)).front();
  EXPECT_EQ(ValuesOf<float>(second), (std::vector<float>{52, 3, 4, 5}));
  EXPECT_EQ(first.bytes.data(), second.bytes.data());
}

TEST(InterpreterTest, RefusesMemoryThatTheRuntimeWouldNotReadInPlace) {
  Runner runner("half_plus_two");
  const Tensor input = Floats({32}, std::vector<float>(32));
  const TensorView askew{DType::kFloat, Shape({1}), input.view().bytes.subspan(4, 4)};
  EXPECT_EQ(runner.interpreter().Run(0, std::span(&askew, 1), kNoDeadline).status().code(), StatusCode::kInternal);
}

TEST(InterpreterTest, ResizesAllInputsBeforePlanning) {
  Runner runner("multi_io");
  for (const int64_t batch : {2, 5, 1}) {
    std::vector<Tensor> inputs;
    inputs.push_back(Floats({batch, 3}, std::vector<float>(static_cast<size_t>(batch) * 3, 2)));
    inputs.push_back(Floats({batch, 3}, std::vector<float>(static_cast<size_t>(batch) * 3, 3)));
    EXPECT_EQ(ValuesOf<float>(runner.Output(inputs, "prod")), std::vector<float>(static_cast<size_t>(batch) * 3, 6));
    EXPECT_EQ(runner.Output(inputs, "cls").shape, Shape({batch}));
  }
}

TEST(InterpreterTest, GivesOneTensorUnderSeveralNames) {
  Runner shared("shared_output");
  EXPECT_THAT(shared.RunFloats(Floats({2}, {1, 2}), "first"), ElementsAre(2, 3));
  EXPECT_THAT(shared.RunFloats(Floats({2}, {5, 6}), "second"), ElementsAre(6, 7));
  Runner through("passthrough");
  EXPECT_THAT(through.RunFloats(Floats({2}, {1, 2}), "same"), ElementsAre(1, 2));
  EXPECT_THAT(through.RunFloats(Floats({3}, {1, 2, 5}), "double"), ElementsAre(2, 4, 10));
}

TEST(InterpreterTest, GivesConstantOutputs) {
  Runner runner("constant_output");
  for (int round = 0; round < 2; ++round) {
    EXPECT_THAT(StringsOf(runner.Output(runner.Inputs(Floats({1}, {1})), "labels")), ElementsAre("low", "high"));
    EXPECT_THAT(runner.RunFloats(Floats({3}, {1, 2, 3}), "limits"), ElementsAre(0, 1));
    EXPECT_THAT(runner.RunFloats(Floats({3}, {1, 2, 3}), "y"), ElementsAre(2, 4, 6));
  }
}

TEST(InterpreterTest, RunsScalars) {
  Runner runner("scalar");
  EXPECT_THAT(runner.RunFloats(Floats({}, {4})), ElementsAre(9));
  EXPECT_THAT(runner.RunFloats(Floats({}, {5})), ElementsAre(11));
  Runner text("string_scalar");
  EXPECT_THAT(StringsOf(text.Output(text.Inputs(Strings({}, {"one"})))), ElementsAre("one"));
}

TEST(InterpreterTest, RunsStringsOfAnyRankAndLength) {
  Runner cube("string_cube");
  std::vector<std::string> words;
  words.reserve(6);
  for (int i = 0; i < 6; ++i) words.push_back(std::string(static_cast<size_t>(i) * 100'000, static_cast<char>('a' + i)));
  const TensorView reversed = cube.Output(cube.Inputs(Strings({1, 2, 3}, words)), "reversed");
  EXPECT_EQ(reversed.shape, Shape({1, 2, 3}));
  EXPECT_EQ(StringsOf(reversed), (std::vector<std::string>{words[2], words[1], words[0], words[5], words[4], words[3]}));
  const std::vector<std::string> binary(12, std::string("\0\xff", 2));
  EXPECT_EQ(StringsOf(cube.Output(cube.Inputs(Strings({2, 2, 3}, binary)), "reversed")), binary);

  Runner reshape("string_reshape");
  for (const int64_t batch : {3, 1, 2}) {
    const TensorView rows = reshape.Output(reshape.Inputs(Strings({batch, 2, 3}, std::vector<std::string>(static_cast<size_t>(batch) * 6, "w"))));
    EXPECT_EQ(rows.shape, Shape({batch, 6}));
  }
  Runner lookup("string_lookup");
  EXPECT_THAT(StringsOf(lookup.Output(lookup.Inputs(Int32s({4}, {4, 3, 0, 2})))), ElementsAre("", "drei \u2462", "zero", "two"));
  Runner equal("string_equal");
  EXPECT_THAT(ValuesOf<uint8_t>(equal.Output(equal.Inputs(Strings({3}, {"yes", "", "no"})))), ElementsAre(1, 0, 0));
}

// The second of two columns comes first, in each element type.
TEST(InterpreterTest, RunsEveryElementType) {
  for (const std::string name :
       {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32", "float64", "complex64"}) {
    Runner runner("type_" + name);
    const TensorSpec& spec = runner.signature().inputs[0];
    const size_t size = DTypeSize(spec.dtype);
    Tensor input = *Tensor::Create(spec.dtype, Shape({3, 2}));
    for (size_t i = 0; i < input.bytes().size(); ++i) input.bytes()[i] = name == "bool" ? std::byte(i % 2) : std::byte(i + 1);
    const std::vector<std::byte> in(input.bytes().begin(), input.bytes().end());
    const TensorView output = runner.Output(runner.Inputs(std::move(input)));
    ASSERT_EQ(output.dtype, spec.dtype) << name;
    ASSERT_EQ(output.bytes.size(), in.size()) << name;
    for (size_t element = 0; element < 6; ++element) {
      EXPECT_TRUE(std::equal(in.begin() + static_cast<ptrdiff_t>(element * size), in.begin() + static_cast<ptrdiff_t>((element + 1) * size),
                             output.bytes.begin() + static_cast<ptrdiff_t>((element ^ 1U) * size)))
          << name << " " << element;
    }
  }
}

// LiteRT's own size for these outputs is that of the run before, or of one row.
TEST(InterpreterTest, ShapesThatAreKnownLateNeverOverflow) {
  Runner computed("computed_shape");
  Runner total("stateful_batch");
  for (const int64_t batch : {1, 50'000, 2, 70'000, 1}) {
    const auto rows = static_cast<size_t>(batch);
    EXPECT_EQ(computed.Output(computed.Inputs(Floats({batch, 2, 2}, std::vector<float>(rows * 4, 1)))).shape, Shape({batch, 2}));
    EXPECT_EQ(total.RunFloats(Floats({batch}, std::vector<float>(rows, 1))), std::vector<float>(rows, static_cast<float>(batch)));
  }
}

TEST(InterpreterTest, OutputsHaveTheSizeThatTheDataSays) {
  Runner runner("dynamic_output");
  for (const std::vector<float>& x : {std::vector<float>{1, -1, 2}, {-1, -2, -3}, {1, 2, 3, 4, 5}, {-1}, {3}, {-1, -2, 7}}) {
    std::vector<float> values;
    std::vector<int64_t> index;
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i] <= 0) continue;
      values.push_back(x[i]);
      index.push_back(static_cast<int64_t>(i));
    }
    const TensorView found = runner.Output(runner.Inputs(Floats({static_cast<int64_t>(x.size())}, x)), "index");
    EXPECT_EQ(found.shape, Shape({static_cast<int64_t>(index.size()), 1}));
    EXPECT_EQ(ValuesOf<int64_t>(found), index);
    EXPECT_EQ(runner.RunFloats(Floats({static_cast<int64_t>(x.size())}, x), "value"), values);
  }
}

TEST(InterpreterTest, ManyRowsMayFollowNone) {
  Runner runner("dynamic_output");
  EXPECT_THAT(runner.RunFloats(Floats({1}, {-1}), "value"), IsEmpty());
  const std::vector<float> ones(1'000'000, 1);
  EXPECT_EQ(runner.RunFloats(Floats({1'000'000}, ones), "value"), ones);
}

TEST(InterpreterTest, OutputsOfUnknownSizeStandAloneAndBesideOthers) {
  Runner runner("dynamic_signatures");
  for (int round = 0; round < 2; ++round) {
    for (const std::vector<float>& x : {std::vector<float>{1, -1, -1, 1}, {-1, -1, -1, -1}}) {
      const size_t rows = x[0] > 0 ? 2 : 0;
      const auto alone = runner.RunSignature(0, runner.Inputs(Floats({2, 2}, x)));
      ASSERT_TRUE(alone.ok()) << alone.status().ToString();
      EXPECT_EQ(ValuesOf<int64_t>(alone->front()), rows == 0 ? std::vector<int64_t>{} : (std::vector<int64_t>{0, 0, 1, 1}));
      const auto beside = runner.RunSignature(1, runner.Inputs(Floats({2, 2}, x)));
      ASSERT_TRUE(beside.ok()) << beside.status().ToString();
      const Signature& signature = runner.model().graph().signatures[1].signature;
      for (const char* name : {"first", "second"}) {
        EXPECT_EQ((*beside)[static_cast<size_t>(signature.FindOutput(name))].shape, Shape({static_cast<int64_t>(rows), 2}));
      }
      EXPECT_EQ(ValuesOf<float>((*beside)[static_cast<size_t>(signature.FindOutput("negated"))]), (std::vector<float>{-x[0], -x[1], -x[2], -x[3]}));
    }
  }
}

TEST(InterpreterTest, StringsMayBeAsManyAsTheDataSays) {
  Runner runner("dynamic_strings");
  for (const std::vector<uint8_t>& keep : {std::vector<uint8_t>{1, 0, 1}, {0, 0, 0}, {1, 1, 1}}) {
    std::vector<Tensor> inputs(2);
    inputs[static_cast<size_t>(runner.signature().FindInput("text"))] = Strings({3}, {"a", "bc", ""});
    inputs[static_cast<size_t>(runner.signature().FindInput("keep"))] = TensorOf(DType::kBool, {3}, keep);
    std::vector<std::string> kept;
    for (size_t i = 0; i < 3; ++i) {
      if (keep[i] != 0) kept.push_back(std::vector<std::string>{"a", "bc", ""}[i]);
    }
    EXPECT_EQ(StringsOf(runner.Output(inputs)), kept);
  }
}

TEST(InterpreterTest, TheSameBadShapeTwiceIsTheSameErrorTwice) {
  Runner runner("baked_batch");
  std::string message;
  for (int round = 0; round < 3; ++round) {
    const Status status = runner.RunOne(Floats({3, 4}, std::vector<float>(12))).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(status.message(), HasSubstr("\"x\" float[3,4]: "));
    EXPECT_THAT(status.message(), HasSubstr("failed to"));
    EXPECT_TRUE(round == 0 || status.message() == message) << status.message();
    message = status.message();
    EXPECT_THAT(runner.RunFloats(Floats({1, 4}, {1, 2, 3, 4})), ElementsAre(4, 6));
  }
  EXPECT_FALSE(runner.RunOne(Floats({3, 4}, std::vector<float>(12))).ok());
  EXPECT_FALSE(runner.RunOne(Floats({3, 4}, std::vector<float>(12))).ok());
}

TEST(InterpreterTest, ADimensionOfZeroIsAnErrorThatLeavesItFit) {
  Runner runner("half_plus_two");
  const Status status = runner.RunOne(Floats({0}, {})).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("input \"x\": a tensor of shape [0]"));
  EXPECT_THAT(runner.RunFloats(Floats({1}, {2})), ElementsAre(3));
}

TEST(InterpreterTest, EachRunStartsFromTheInitialState) {
  Runner runner("stateful");
  for (int round = 0; round < 3; ++round) {
    EXPECT_THAT(runner.RunFloats(Floats({1}, {5})), ElementsAre(5));
    if (round == 1) runner.interpreter().Restore();
  }
}

TEST(InterpreterTest, KeepsStateIfAsked) {
  Runner runner("stateful", {.keep_state = true});
  EXPECT_THAT(runner.RunFloats(Floats({1}, {5})), ElementsAre(5));
  EXPECT_THAT(runner.RunFloats(Floats({1}, {5})), ElementsAre(10));
  runner.interpreter().Restore();
  EXPECT_THAT(runner.RunFloats(Floats({1}, {1})), ElementsAre(11));
}

TEST(InterpreterTest, TheAnswerOutlivesRestoring) {
  Runner runner("stateful");
  const TensorView output = runner.Output(runner.Inputs(Floats({1}, {5})));
  runner.interpreter().Restore();
  EXPECT_THAT(ValuesOf<float>(output), ElementsAre(5));
}

// A clock that moves on whenever it is asked.
class TickingClock : public Clock {
 public:
  TimePoint Now() const override { return TimePoint(std::chrono::milliseconds(++ticks_)); }
  int ticks() const { return ticks_; }

 private:
  mutable int ticks_ = 0;
};

TEST(InterpreterTest, StopsARunAtItsDeadline) {
  const TickingClock clock;
  Runner runner("while_loop", {.clock = &clock});
  const Status status = runner.RunOne(Int32s({}, {1'000'000'000}), TimePoint(std::chrono::milliseconds(1000))).status();
  EXPECT_EQ(status.code(), StatusCode::kDeadlineExceeded) << status.ToString();
  EXPECT_LT(clock.ticks(), 1100);
  EXPECT_THAT(runner.RunFloats(Int32s({}, {7})), ElementsAre(7));
}

// A clock that cancels a run after a thousand questions.
class CancellingClock : public TickingClock {
 public:
  explicit CancellingClock(Cancellation& cancellation) : cancellation_(cancellation) {}
  TimePoint Now() const override {
    if (ticks() == 1000) cancellation_.Cancel();
    return TickingClock::Now();
  }

 private:
  Cancellation& cancellation_;
};

TEST(InterpreterTest, StopsARunThatIsCancelled) {
  Cancellation cancellation;
  const CancellingClock clock(cancellation);
  Runner runner("while_loop", {.clock = &clock});
  const std::vector<Tensor> forever = runner.Inputs(Int32s({}, {1'000'000'000}));
  const Status status = runner.interpreter().Run(0, ViewsOf(forever), TimePoint(std::chrono::hours(1000)), &cancellation).status();
  EXPECT_EQ(status.code(), StatusCode::kCancelled) << status.ToString();
  EXPECT_LT(clock.ticks(), 1100);
  EXPECT_THAT(runner.RunFloats(Int32s({}, {7})), ElementsAre(7));
  // One that was cancelled before it began does not run at all.
  EXPECT_EQ(runner.interpreter().Run(0, ViewsOf(forever), kNoDeadline, &cancellation).status().code(), StatusCode::kCancelled);
  cancellation.Reset();
  const std::vector<Tensor> few = runner.Inputs(Int32s({}, {3}));
  EXPECT_TRUE(runner.interpreter().Run(0, ViewsOf(few), kNoDeadline, &cancellation).ok());
}

TEST(InterpreterTest, SignaturesDoNotDisturbEachOther) {
  Runner runner("multi_signature");
  for (const int64_t batch : {1, 4, 2}) {
    std::vector<float> x(static_cast<size_t>(batch) * 128);
    for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i));
    const auto encoded = runner.RunSignature(1, runner.Inputs(Floats({batch, 128}, x)));
    ASSERT_TRUE(encoded.ok()) << encoded.status().ToString();
    const auto decoded = runner.RunSignature(0, runner.Inputs(Floats({batch, 128}, ValuesOf<float>(encoded->front()))));
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    const std::vector<float> back = ValuesOf<float>(decoded->front());
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 1e-5) << i;
  }
}

TEST(InterpreterTest, AnInputThatNothingReadsMayHaveAnySize) {
  Runner runner("unused_input");
  const size_t x = static_cast<size_t>(runner.signature().FindInput("x"));
  for (const int64_t ignored : {1, 7, 2}) {
    std::vector<Tensor> inputs(2);
    inputs[x] = Floats({2}, {1, 2});
    inputs[1 - x] = Floats({ignored}, std::vector<float>(static_cast<size_t>(ignored)));
    EXPECT_THAT(ValuesOf<float>(runner.Output(inputs)), ElementsAre(2, 4));
  }
}

TEST(InterpreterTest, InterpretersShareThePackedWeights) {
  Runner runner("digits");
  const size_t cached = runner.model().WeightCacheBytes();
  EXPECT_GT(cached, 30'000);
  for (int i = 0; i < 3; ++i) {
    const auto another = Interpreter::Create(runner.model(), {});
    ASSERT_TRUE(another.ok());
    const std::vector<Tensor> inputs = *ZeroInputs(runner.model().graph().signatures[0], 1);
    ASSERT_TRUE((*another)->Run(0, ViewsOf(inputs), kNoDeadline).ok());
  }
  EXPECT_EQ(runner.model().WeightCacheBytes(), cached);
}

}  // namespace
}  // namespace tflite_serving
