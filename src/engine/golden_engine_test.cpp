#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/file.h"
#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/safetensors.h"
#include "engine/export_folder.h"
#include "engine/export_gguf.h"
#include "engine/test_engine.h"
#include "gale/error.h"

// The whole engine against transformers: every golden case, all its prompts at once, from safetensors and from our own GGUF.
namespace gale {
namespace {

namespace fs = std::filesystem;
using namespace gale::testing;

std::vector<std::string> golden_names() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(golden_path("")))
    if (fs::exists(entry.path() / "golden.json")) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

/// The folder, or the GGUF in it.
fs::path stored_model(const std::string& name) {
  const fs::path gguf = golden_path(name) / "model.gguf";
  return fs::exists(gguf) ? gguf : golden_path(name);
}

class GoldenEngine : public ::testing::TestWithParam<std::string> {
 protected:
  void check(const fs::path& model) {
    EngineOptions options;
    options.model = model.string();
    options.threads = 2;
    options.exact = true;
    options.step_tokens = 23;
    options.kv_bytes = 4 << 20;
    const auto engine = Engine::open(options);
    const Json golden = Json::parse(read_text(golden_path(GetParam()) / "golden.json"));
    const auto stored = open_safetensors(golden_path(GetParam()) / "golden.safetensors");
    const double tolerance = golden.at("tolerance").get<double>() * golden.at("logit_range").get<double>();
    std::vector<std::unique_ptr<EventStream>> streams;
    for (const Json& one : golden.at("cases"))
      streams.push_back(engine->submit(greedy(one.at("ids").get<std::vector<int32_t>>(), int64_t(one.at("greedy").size()))));
    for (size_t i = 0; i < streams.size(); ++i) {
      const Json& one = golden.at("cases")[i];
      EXPECT_EQ(read_all(*streams[i]).tokens, one.at("greedy").get<std::vector<int32_t>>());
      EXPECT_LE(worst(engine->logits(one.at("ids").get<std::vector<int32_t>>()), stored, "logits." + std::to_string(i)),
                tolerance);
    }
  }

 private:
  static double worst(const std::vector<float>& logits, const std::vector<RawTensor>& stored, const std::string& name) {
    for (const RawTensor& tensor : stored) {
      if (tensor.name != name) continue;
      std::vector<float> expected(tensor.bytes.size() / sizeof(float));
      std::memcpy(expected.data(), tensor.bytes.data(), tensor.bytes.size());
      EXPECT_EQ(expected.size(), logits.size());
      double out = 0;
      for (size_t i = 0; i < std::min(expected.size(), logits.size()); ++i)
        out = std::max(out, std::fabs(double(expected[i]) - double(logits[i])));
      return out;
    }
    ADD_FAILURE() << name << " is not stored";
    return 0;
  }
};
INSTANTIATE_TEST_SUITE_P(Families, GoldenEngine, ::testing::ValuesIn(golden_names()),
                         [](const auto& info) { return info.param; });

TEST_P(GoldenEngine, FromItsFiles) { check(stored_model(GetParam())); }

TEST_P(GoldenEngine, FromOurOwnGguf) {
  const TemporaryFolder folder;
  quantize_model(stored_model(GetParam()).string(), "f32", folder / "model.gguf", 2);
  check(folder / "model.gguf");
}

TEST_P(GoldenEngine, FromOurOwnFolder) {
  const TemporaryFolder folder;
  write_folder(stored_model(GetParam()).string(), "f32", folder / "model", 2);
  check(folder / "model");
}

// Nothing in a UQFF file says how many are in its set: what is missing is a file, not a fault of the model.
TEST(Uqff, ALastFileThatIsMissingIsGuessed) {
  const TemporaryFolder folder;
  fs::copy(golden_path("llama_uqff"), folder / "m");
  fs::remove(folder / "m" / "mixed-1.uqff");
  EngineOptions options;
  options.model = (folder / "m").string();
  try {
    Engine::open(options);
    ADD_FAILURE() << "no error";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("No UQFF file says how many are in its set"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace gale
