#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/fail.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "models/model.h"
#include "tensor/arena.h"

// Every family against transformers: tests/golden/data/<case> holds a tiny random checkpoint, its logits and a greedy
// continuation.
namespace gale {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> golden_cases() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(fs::path(GALE_SOURCE_DIR) / "tests/golden/data"))
    if (fs::exists(entry.path() / "golden.json")) out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

std::string case_name(const ::testing::TestParamInfo<fs::path>& info) { return info.param.filename().string(); }

// A model over a cache of its own, one sequence at a time.
struct Runner {
  explicit Runner(const fs::path& path, Isa isa = detect_cpu().isas.back())
      : pool(2), arena(size_t(64) << 20), ctx{arena, pool, cpu_kernels(isa), Precision::exact} {
    const fs::path gguf = path / "model.gguf";
    checkpoint = Checkpoint::open(fs::exists(gguf) ? gguf : path);
    Loader loader(checkpoint, pool, {});
    model = find_architecture(checkpoint->architecture()).build(Config(checkpoint->config(), path.string()), Weights(loader));
    loader.finish();
    kv = std::make_unique<KvCache>(model->cache_layers(), KvType::f32, 16);
    track = kv->open();
  }

  // Logits of the last `wanted` rows of ids at positions from `first` on.
  std::vector<float> logits(const std::vector<int32_t>& ids, int32_t first, int32_t wanted) {
    EXPECT_TRUE(kv->reserve(track, first + int32_t(ids.size())));
    Batch batch;
    batch.add_causal(track, ids.data(), int32_t(ids.size()), first);
    for (int32_t r = batch.rows() - wanted; r < batch.rows(); ++r) batch.wanted.push_back(r);
    const Tensor y = model->head(ctx, model->hidden(ctx, batch, *kv));
    return {y.data<float>(), y.data<float>() + y.elements()};
  }

  ThreadPool pool;
  Arena arena;
  Ctx ctx;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  std::unique_ptr<KvCache> kv;
  TrackId track = 0;
};

struct Stored {
  explicit Stored(const fs::path& path) : json(Json::parse(read_text(path / "golden.json"))), file(path / "golden.safetensors") {
    const auto bytes = read_text(file);
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    header = Json::parse(bytes.substr(8, length));
    data = bytes.substr(8 + length);
  }
  std::vector<float> tensor(const std::string& name) const {
    const auto range = header.at(name).at("data_offsets");
    std::vector<float> out((range[1].get<size_t>() - range[0].get<size_t>()) / 4);
    std::memcpy(out.data(), data.data() + range[0].get<size_t>(), out.size() * 4);
    return out;
  }
  Json json, header;
  fs::path file;
  std::string data;
};

double worst_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) worst = std::max(worst, double(std::fabs(a[i] - b[i])));
  return worst;
}

class Golden : public ::testing::TestWithParam<fs::path> {};
INSTANTIATE_TEST_SUITE_P(Families, Golden, ::testing::ValuesIn(golden_cases()), case_name);

TEST_P(Golden, LogitsAndGreedyTokens) {
  const Stored stored(GetParam());
  const double range = stored.json.at("logit_range"), tolerance = stored.json.at("tolerance");
  double worst = 0;
  for (size_t i = 0; i < stored.json.at("cases").size(); ++i) {
    const auto& golden = stored.json["cases"][i];
    const auto ids = golden.at("ids").get<std::vector<int32_t>>(), greedy = golden.at("greedy").get<std::vector<int32_t>>();
    Runner run(GetParam());
    auto logits = run.logits(ids, 0, int32_t(ids.size()));
    worst = std::max(worst, worst_difference(logits, stored.tensor("logits." + std::to_string(i))));
    std::vector<int32_t> chosen;
    const size_t vocab = size_t(run.model->vocab());
    for (int32_t position = int32_t(ids.size());; ++position) {
      const auto last = logits.end() - ptrdiff_t(vocab);
      chosen.push_back(int32_t(std::max_element(last, logits.end()) - last));
      if (chosen.size() == greedy.size()) break;
      logits = run.logits({chosen.back()}, position, 1);
    }
    EXPECT_EQ(chosen, greedy);
  }
  EXPECT_LE(worst, tolerance * range) << "a share of the range: " << worst / range;
  RecordProperty("share_of_range", std::to_string(worst / range));
  std::printf("%-14s %-20s max |logit difference| %.2e of the range\n", GetParam().filename().c_str(),
              stored.json.at("architecture").get<std::string>().c_str(), worst / range);
}

TEST_P(Golden, TapsGiveTheResidualStream) {
  Runner run(GetParam());
  ASSERT_TRUE(run.kv->reserve(run.track, 3));
  Batch batch;
  const std::vector<int32_t> ids = {1, 2, 3};
  batch.add_causal(run.track, ids.data(), 3, 0);
  batch.wanted = {2};
  Taps taps{{0, 1}, {}};
  run.model->hidden(run.ctx, batch, *run.kv, &taps);
  ASSERT_EQ(taps.rows.size(), 2u);
  EXPECT_EQ(taps.rows[0].shape(), (Shape{3, run.model->hidden_width()}));
  EXPECT_NE(std::memcmp(taps.rows[0].data<float>(), taps.rows[1].data<float>(), size_t(taps.rows[0].bytes())), 0);
}

TEST(Architectures, CaseDoesNotMatterAndUnknownListsKnown) {
  EXPECT_EQ(find_architecture("llamaforcausalLM").file, "llama");
  EXPECT_EQ(find_architecture("QWEN3FORCAUSALLM").file, "llama");
  try {
    find_architecture("NopeForCausalLM");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(e.what()).find("MistralForCausalLM"), std::string::npos);
  }
}

}  // namespace
}  // namespace gale
