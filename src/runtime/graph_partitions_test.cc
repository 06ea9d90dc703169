#include "runtime/graph_partitions.h"

#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

FileOperator Op(std::vector<int32_t> inputs, std::vector<int32_t> outputs) {
  FileOperator op;
  op.inputs = std::move(inputs);
  op.outputs = std::move(outputs);
  return op;
}

// "[0 2] 1 [3]": partitions in brackets.
std::string Order(const FileSubgraph& subgraph, const std::vector<bool>& delegated) {
  std::string text;
  for (const OperatorGroup& group : ExecutionOrder(subgraph, delegated)) {
    text += fmt::format("{}{}{}{}", text.empty() ? "" : " ", group.delegated ? "[" : "", fmt::join(group.operators, " "), group.delegated ? "]" : "");
  }
  return text;
}

std::string Order(std::vector<FileOperator> operators, const std::vector<bool>& delegated) {
  FileSubgraph subgraph;
  subgraph.tensors.resize(10);
  subgraph.operators = std::move(operators);
  return Order(subgraph, delegated);
}

TEST(GraphPartitionsTest, AChain) {
  const std::vector<FileOperator> chain = {Op({0, 9}, {1}), Op({1, -1}, {2}), Op({2}, {3}), Op({3}, {4})};
  EXPECT_EQ(Order(chain, {true, true, true, true}), "[0 1 2 3]");
  EXPECT_EQ(Order(chain, {false, false, false, false}), "0 1 2 3");
  EXPECT_EQ(Order(chain, {true, true, false, true}), "[0 1] 2 [3]");
  EXPECT_EQ(Order(std::vector<FileOperator>(), {}), "");
}

TEST(GraphPartitionsTest, BranchesJoinWhatIsReady) {
  // 0 and 1 both read tensor 0; 2 reads what 1 makes; 3 reads all.
  const std::vector<FileOperator> branches = {Op({0}, {1}), Op({0}, {2}), Op({2}, {3}), Op({1, 3}, {4})};
  EXPECT_EQ(Order(branches, {false, true, true, true}), "0 [1 2 3]");
  EXPECT_EQ(Order(branches, {true, false, true, true}), "[0] 1 [2 3]");
  EXPECT_EQ(Order(branches, {true, true, false, true}), "[0 1] 2 [3]");
}

TEST(GraphPartitionsTest, OperatorsInAnyOrderAndSuchAsNeverCome) {
  EXPECT_EQ(Order({Op({1}, {2}), Op({0}, {1})}, {true, true}), "[1 0]");
  EXPECT_EQ(Order({Op({0}, {1}), Op({3}, {2}), Op({2}, {3})}, {true, true, true}), "[0]");
}

TEST(GraphPartitionsTest, EffectsKeepTheirOrder) {
  FileSubgraph subgraph;
  subgraph.tensors.resize(10);
  subgraph.tensors[9].type = 13;  // RESOURCE
  // A read, its sum, an assignment of it, and a read again.
  subgraph.operators = {Op({9}, {1}), Op({0, 1}, {2}), Op({9, 2}, {}), Op({9}, {3}), Op({3}, {4})};
  EXPECT_EQ(Order(subgraph, {false, true, true, false, true}), "0 [1 2] 3 [4]");
  subgraph.tensors[9].type = 0;
  EXPECT_EQ(Order(subgraph, {false, true, true, false, true}), "0 3 [1 2 4]");
}

}  // namespace
}  // namespace tflite_serving
