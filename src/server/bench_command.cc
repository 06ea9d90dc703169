#include "server/bench_command.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/usable_cpus.h"
#include "runtime/litert_servable.h"
#include "server/measured_run.h"
#include "server/operator_table.h"

namespace tflite_serving {
namespace {

constexpr int64_t kMaxRows = 64;
// A configuration with more threads has to answer so much sooner to be named.
constexpr double kWorthIt = 1.05;
// For a table of operators.
constexpr int64_t kProfiledRuns = 100;

struct Configuration {
  Parallelism parallelism;
  RunTimes times;
};

// 1, 2, 4, … and `most` itself.
std::vector<int> PowersUpTo(int most) {
  std::vector<int> powers;
  for (int power = 1; power < most; power *= 2) powers.push_back(power);
  powers.push_back(most);
  return powers;
}

std::string Flags(const Parallelism& parallelism) {
  return fmt::format("--num_tflite_pools={} --tensorflow_intra_op_parallelism={}", parallelism.interpreters, parallelism.threads);
}

class Bench {
 public:
  Bench(const std::string& path, const BenchOptions& options, const std::function<void(std::string_view)>& print)
      : path_(path), options_(options), print_(print) {}

  Status Run() {
    if (options_.operators) return ProfileOperators();
    TFLS_RETURN_IF_ERROR(MeasureRows());
    TFLS_RETURN_IF_ERROR(MeasureConfigurations());
    Recommend();
    return OkStatus();
  }

 private:
  StatusOr<std::unique_ptr<LiteRtServable>> Load(const Parallelism& parallelism, const std::string& trial_program) {
    return LiteRtServable::Create({"model", 1}, path_,
                                  {.num_interpreters = parallelism.interpreters,
                                   .threads_per_interpreter = parallelism.threads,
                                   .trial_program = trial_program,
                                   .custom_op_libraries = options_.custom_op_libraries});
  }

  static const Signature& SignatureOf(const LiteRtServable& servable) {
    const Signature* const standard = FindSignature(servable.signatures(), kDefaultSignatureKey);
    return standard == nullptr ? servable.signatures().front() : *standard;
  }

  Status ProfileOperators() {
    TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<LiteRtServable> servable, Load({.interpreters = 1, .threads = 1}, options_.trial_program));
    TFLS_ASSIGN_OR_RETURN(const ModelProfile profile, servable->Profile({.signature_name = SignatureOf(*servable).key, .runs = kProfiledRuns}));
    std::string text = fmt::format("{}\n{}", path_, OperatorTable(profile));
    text.pop_back();
    print_(text);
    return OkStatus();
  }

  Status MeasureRows() {
    TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<LiteRtServable> servable, Load({}, options_.trial_program));
    const Signature& signature = SignatureOf(*servable);
    number_ = static_cast<size_t>(&signature - servable->signatures().data());
    print_(fmt::format("{}, signature \"{}\", {} usable cores, {} for each line", path_, signature.key, UsableCpus(), TimeText(options_.time)));
    print_("");
    print_("one interpreter, one thread");
    print_(fmt::format("{:>6}  {:>10}  {:>10}  {:>12}", "rows", "median", "p99", "rows/s"));
    for (int64_t rows = 1; rows <= (TakesAnyRows(signature) ? kMaxRows : 1); rows *= 2) {
      StatusOr<std::vector<Tensor>> inputs = MakeInputs(*servable, number_, rows);
      if (!inputs.ok() && rows > 1) {
        print_(fmt::format("{:>6}  {}", rows, inputs.status().message()));
        break;
      }
      if (!inputs.ok()) return inputs.status();
      TFLS_ASSIGN_OR_RETURN(const RunTimes times, MeasureRuns(*servable, number_, *inputs, 1, options_.time));
      const double rows_per_second = times.runs_per_second * static_cast<double>(rows);
      print_(fmt::format("{:>6}  {:>10}  {:>10}  {:>12.0f}", rows, TimeText(times.median), TimeText(times.p99), rows_per_second));
      if (rows == 1) one_row_per_second_ = rows_per_second;
      if (rows_per_second > best_rows_per_second_) best_rows_ = rows;
      best_rows_per_second_ = std::max(best_rows_per_second_, rows_per_second);
      if (rows == 1) inputs_ = *std::move(inputs);
    }
    batchable_ = servable->batchable(number_);
    return OkStatus();
  }

  Status MeasureConfigurations() {
    print_("");
    print_("as many callers as interpreters, one row each");
    print_(fmt::format("{:>12}  {:>7}  {:>10}  {:>10}  {:>12}", "interpreters", "threads", "median", "p99", "rows/s"));
    const int cores = UsableCpus();
    for (const int interpreters : PowersUpTo(cores)) {
      for (const int threads : PowersUpTo(cores)) {
        if (interpreters * threads > cores) continue;
        Configuration configuration{.parallelism = {.interpreters = interpreters, .threads = threads}, .times = {}};
        TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<LiteRtServable> servable, Load(configuration.parallelism, ""));
        TFLS_ASSIGN_OR_RETURN(configuration.times, MeasureRuns(*servable, number_, inputs_, interpreters, options_.time));
        const RunTimes& times = configuration.times;
        print_(fmt::format("{:>12}  {:>7}  {:>10}  {:>10}  {:>12.0f}", interpreters, threads, TimeText(times.median), TimeText(times.p99),
                           times.runs_per_second));
        configurations_.push_back(configuration);
      }
    }
    return OkStatus();
  }

  void Recommend() {
    ParallelismTrial trial{.cpus = UsableCpus(), .one_run = configurations_.front().times.median, .measured = {}};
    const Configuration* quickest = &configurations_.front();
    for (const Configuration& configuration : configurations_) {
      trial.measured.push_back({configuration.parallelism, configuration.times.runs_per_second, configuration.times.core_share});
      if (configuration.times.median * kWorthIt < quickest->times.median) quickest = &configuration;
    }
    const ParallelismChoice chosen = ChooseParallelism(trial);
    print_("");
    if (best_rows_ > 1) {
      print_(fmt::format("{} rows in one run: {:.1f} times the rows per second of single ones{}", best_rows_,
                         best_rows_per_second_ / one_row_per_second_,
                         batchable_ ? "" : "; but the server may not put requests together (see inspect)"));
    }
    if (quickest->parallelism != chosen.parallelism) {
      print_(fmt::format("quickest answers ({}): {}", TimeText(quickest->times.median), Flags(quickest->parallelism)));
    }
    print_(fmt::format("most answers: {} ({})", Flags(chosen.parallelism), chosen.why));
  }

  const std::string& path_;
  const BenchOptions& options_;
  const std::function<void(std::string_view)>& print_;
  size_t number_ = 0;           // of the signature
  std::vector<Tensor> inputs_;  // of one row
  bool batchable_ = false;
  int64_t best_rows_ = 1;
  double one_row_per_second_ = 0;
  double best_rows_per_second_ = 0;
  std::vector<Configuration> configurations_;
};

}  // namespace

Status BenchFile(const std::string& path, const BenchOptions& options, const std::function<void(std::string_view)>& print) {
  return Bench(path, options, print).Run();
}

}  // namespace tflite_serving
