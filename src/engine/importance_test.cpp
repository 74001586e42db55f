#include "engine/importance.h"

#include <gmock/gmock.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/file.h"
#include "base/json.h"
#include "base/threads.h"
#include "checkpoint/safetensors.h"
#include "engine/export_gguf.h"
#include "engine/open_engine.h"
#include "engine/pack_model.h"
#include "engine/test_fidelity.h"
#include "engine/weight_plan.h"
#include "gale/error.h"
#include "tokenizer/tokenizer.h"

namespace gale {
namespace {

using namespace gale::testing;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

EngineOptions exact(const std::filesystem::path& model) {
  EngineOptions out;
  out.model = model.string();
  out.threads = 2;
  out.exact = true;
  out.step_tokens = 23;  // windows are read in pieces
  out.kv_bytes = 4 << 20;
  return out;
}

// What transformers' modules were given, by tests/golden/make_importance.py.
class GoldenImportance : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Cases, GoldenImportance, ::testing::Values("llama3", "mixtral", "qwen3_moe"));
TEST_P(GoldenImportance, IsWhatGoesIntoTheModulesOfTransformers) {
  const auto folder = golden_path(GetParam());
  Calibration calibration(exact(folder));
  std::vector<int32_t> longest;
  const Json golden = Json::parse(read_text(folder / "golden.json"));
  for (const Json& one : golden.at("cases"))
    if (one.at("ids").size() > longest.size()) longest = one.at("ids").get<std::vector<int32_t>>();
  calibration.engine().logits(longest);
  const ImportanceMatrix found = calibration.importance(true);
  size_t modules = 0;
  for (const RawTensor& tensor : open_safetensors(folder / "importance.safetensors")) {
    std::vector<float> expected(tensor.bytes.size() / sizeof(float));
    std::memcpy(expected.data(), tensor.bytes.data(), tensor.bytes.size());
    const bool counts = tensor.name.starts_with("counts.");
    std::string name = tensor.name.substr(tensor.name.find('.') + 1);
    if (!found.entries.contains(name) && name == "lm_head") name = "model.embed_tokens";  // tied
    if (std::ranges::all_of(expected, [](float x) { return x == 0; })) continue;
    ASSERT_TRUE(found.entries.contains(name)) << name;
    const auto& entry = found.entries.at(name);
    const auto& values = counts ? entry.counts : entry.sums;
    ASSERT_EQ(values.size(), expected.size()) << name;
    const float largest = std::ranges::max(expected);
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(values[i], expected[i], counts ? 0 : 1e-4f * largest) << tensor.name << " " << i;
    modules += counts ? 1 : 0;
  }
  EXPECT_EQ(modules, found.entries.size());
}

TEST(Importance, IsFoundByEveryNameAFileMayHave) {
  const ImportanceMatrix::Entry one{{2, 4}, {2}, 2}, three{{1, 1, 2, 2, 3, 3}, {1}, 2};
  const auto with = [](const std::string& name, const ImportanceMatrix::Entry& entry) {
    ImportanceMatrix out;
    out.entries[name] = entry;
    return Importance(std::make_shared<const ImportanceMatrix>(std::move(out)));
  };
  const std::string q = "model.layers.4.self_attn.q_proj", up = "model.layers.4.mlp.experts";
  for (const std::string& name : {std::string("blk.4.attn_q.weight"), q, q + ".weight"})
    EXPECT_EQ(with(name, one).of(q, -1, 2), (std::vector<float>{1, 2})) << name;
  EXPECT_THAT(with("blk.4.attn_k.weight", one).of(q, -1, 2), IsEmpty());
  for (const std::string& name : {std::string("blk.4.ffn_up_exps.weight"), up + ".up_proj"}) {
    EXPECT_EQ(with(name, three).of(up + ".1.up_proj", -1, 2), (std::vector<float>{2, 2})) << name;
    EXPECT_EQ(with(name, three).of(up + ".up_proj", 2, 2), (std::vector<float>{3, 3})) << name;
  }
  EXPECT_EQ(with(up + ".1.up_proj", one).of(up + ".1.up_proj", -1, 2), (std::vector<float>{1, 2})) << "an entry an expert";
}

// One way to weigh, whether a file is written or a model loaded, for experts too.
TEST(Importance, AWrittenFileHasTheValuesOfALoadedModel) {
  const TemporaryFolder folder;
  ThreadPool pool(2);
  for (const RandomShape& shape : {kTinyShape, kTinyMoeShape}) {
    const auto source = random_checkpoint(shape, "bf16", pool);
    const auto without = export_gguf(*source, "bf16", folder / "m.gguf", pool);
    Calibration calibration(exact(folder / "m.gguf"));
    calibration.engine().logits({1, 7, 3, 99, 42, 7, 15, 20, 21, 22, 23});
    write_imatrix(calibration.importance(), folder / "i.gguf");
    QuantRecipe recipe("q3_k_m");
    recipe.imatrix = (folder / "i.gguf").string();
    quantize_model((folder / "m.gguf").string(), recipe, folder / "weighted.gguf", 2);
    quantize_model((folder / "m.gguf").string(), "q3_k_m", folder / "plain.gguf", 2);
    const auto logits = [&](const char* file, const std::string& quant, const std::string& imatrix) {
      EngineOptions options = exact(folder / file);
      options.quant = quant;
      options.imatrix = imatrix;
      return Engine::open(options)->logits({5, 6, 7});
    };
    const auto weighted = logits("weighted.gguf", "", "");
    EXPECT_EQ(weighted, logits("m.gguf", "q3_k_m", recipe.imatrix)) << shape.name;
    EXPECT_NE(weighted, logits("plain.gguf", "", "")) << shape.name;
  }
}

// A trained model, and texts as it writes them itself: one half to calibrate with, the other to judge by.
TEST(DemoImportance, BringsTheBundledModelCloserToWhatItWas) {
  const TemporaryFolder folder;
  Calibration calibration(exact("demo"));
  Engine& engine = calibration.engine();
  for (uint64_t seed = 0; seed < 32; ++seed) write_story(engine, seed);
  write_imatrix(calibration.importance(), folder / "i.gguf");
  std::vector<std::vector<int32_t>> judged;
  for (uint64_t seed = 100; seed < 120; ++seed) judged.push_back(write_story(engine, seed));
  const auto logits = [&](const std::string& quant, const std::string& imatrix) {
    EngineOptions options = exact("demo");
    options.quant = quant;
    options.imatrix = imatrix;
    const auto opened = Engine::open(options);
    std::vector<std::vector<float>> out;
    for (const auto& text : judged) out.push_back(opened->logits(text));
    return out;
  };
  const auto base = logits("", "");
  for (const char* type : {"iq4_xs", "iq3_s"}) {
    const double plain = mean_kl(base, logits(type, ""), engine.info().vocab);
    const double weighted = mean_kl(base, logits(type, (folder / "i.gguf").string()), engine.info().vocab);
    EXPECT_LT(weighted, 0.95 * plain) << type << ": " << weighted << " " << plain;
  }
}

std::string message_of(const QuantRecipe& recipe, const Checkpoint& checkpoint) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  return export_gguf(checkpoint, recipe, folder / "m.gguf", pool).note;
}

TEST(WeightPlan, SaysWhatWasNotAsAskedFor) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const auto dense = random_checkpoint(kTinyShape, "bf16", pool), experts = random_checkpoint(kTinyMoeShape, "bf16", pool);
  EXPECT_EQ(message_of("q4_k", *dense), "");
  EXPECT_THAT(message_of("q4_k", *random_checkpoint(kTinyShape, "q5_0", pool)), HasSubstr("loses twice"));
  EXPECT_EQ(message_of("q5_0", *random_checkpoint(kTinyShape, "q5_0", pool)).find("loses twice"), std::string::npos);
  for (const char* type : {"q8_k", "q8_1"})
    EXPECT_THAT(message_of(type, *dense), AllOf(HasSubstr(type), HasSubstr("other engines do not read")));
  EXPECT_EQ(message_of("q8_0", *dense), "");
  QuantRecipe only("q4_k");
  only.experts_only = true;
  EXPECT_THAT(message_of(only, *dense), HasSubstr("no experts"));
  EXPECT_EQ(message_of(only, *experts), "");
  ImportanceMatrix matrix;
  matrix.entries["blk.0.attn_q.weight"] = {std::vector<float>(256, 1), {1}, 256};
  write_imatrix(matrix, folder / "i.gguf");
  QuantRecipe weighted("q4_k");
  weighted.imatrix = (folder / "i.gguf").string();
  EXPECT_THAT(message_of(weighted, *dense), HasSubstr("says nothing of model.layers.0.self_attn.k_proj and"));
  weighted.type = "fp8";
  WeightPlan plan = WeightPlan::of(weighted, *dense);
  EXPECT_THAT(plan.importance("model.layers.0.self_attn.q_proj", -1, 256, find_format("fp8")), IsEmpty());
  EXPECT_THAT(plan.message(), HasSubstr("fp8 makes no use of an importance matrix"));
  matrix.entries["blk.0.attn_q.weight"].sums.resize(128);
  write_imatrix(matrix, folder / "i.gguf");
  weighted.type = "q4_k";
  EXPECT_THROW(message_of(weighted, *dense), Error);
}

TEST(WeightPlan, QuantizesOnlyWhatTheRecipeSays) {
  const TemporaryFolder folder;
  ThreadPool pool(1);
  const auto experts = random_checkpoint(kTinyMoeShape, "bf16", pool);
  const auto types = [&](const QuantRecipe& recipe) {
    export_gguf(*experts, recipe, folder / "m.gguf", pool);
    const auto out = Checkpoint::open(folder / "m.gguf");
    const auto of = [&](const std::string& name) {
      return std::string(tensor_type_info(out->find("model.layers." + name + ".weight")->type).name);
    };
    return std::vector<std::string>{of("0.self_attn.v_proj"), of("1.self_attn.v_proj"), of("0.mlp.experts.up_proj"),
                                    of("0.mlp.gate")};
  };
  using Types = std::vector<std::string>;
  QuantRecipe recipe("q4_0");
  EXPECT_EQ(types(recipe), (Types{"q4_0", "q4_0", "q4_0", "f32"}));
  recipe.experts_only = true;
  EXPECT_EQ(types(recipe), (Types{"bf16", "bf16", "q4_0", "f32"}));
  AtomicFile topology(folder / "t.yaml");
  topology.write("0: {quant: q6_k}\n'/v_proj/': {quant: q8_0}\n");
  topology.commit();
  recipe.topology = (folder / "t.yaml").string();
  EXPECT_EQ(types(recipe), (Types{"q8_0", "q8_0", "q6_k", "f32"}));
  recipe = QuantRecipe();
  recipe.topology = (folder / "t.yaml").string();
  EXPECT_EQ(types(recipe), (Types{"q8_0", "q8_0", "q6_k", "f32"}));
}

// Big importance matrices take seconds: everything that quantizes opens its files once.
TEST(WeightPlan, FilesOfARecipeAreReadOnce) {
  const TemporaryFolder folder;
  ImportanceMatrix matrix;
  matrix.entries["blk.0.attn_q.weight"] = {std::vector<float>(64, 1.0f), {1.0f}, 64};
  write_imatrix(matrix, folder / "i.dat");
  AtomicFile pins(folder / "t.yaml");
  pins.write("0: {quant: q8_0}\n");
  pins.commit();
  const int watch = inotify_init1(IN_NONBLOCK);
  ASSERT_GE(watch, 0);
  for (const char* file : {"i.dat", "t.yaml"}) ASSERT_GE(inotify_add_watch(watch, (folder / file).c_str(), IN_OPEN), 0);
  const auto opened = [&] {  // so often, both together
    alignas(inotify_event) char events[4096];
    const ssize_t bytes = read(watch, events, sizeof events);
    return bytes <= 0 ? 0 : int(size_t(bytes) / sizeof(inotify_event));
  };
  const std::string model = golden_path("llama3").string();
  QuantRecipe recipe("q4_0");
  recipe.topology = (folder / "t.yaml").string(), recipe.imatrix = (folder / "i.dat").string();
  quantize_model(model, recipe, folder / "m.gguf", 1);
  EXPECT_EQ(opened(), 2) << "as a GGUF";
  pack_model(model, recipe, folder / "m.gale", 1);
  EXPECT_EQ(opened(), 2) << "packed";
  EngineOptions options;
  options.model = model, options.quant = "auto", options.threads = 1, options.context = 64;
  options.topology = recipe.topology, options.imatrix = recipe.imatrix;
  const auto engine = Engine::open(options);
  EXPECT_EQ(opened(), 2) << "while loading, with a type to be found";
  engine->requantize("q4_0");
  EXPECT_EQ(opened(), 2) << "while running";
  close(watch);
}

TEST(WeightPlan, ARecipeThatMakesNoSenseIsRefusedFirst) {
  QuantRecipe recipe;
  recipe.imatrix = "i.gguf";
  EXPECT_THROW(recipe.read(), Error);
  recipe = QuantRecipe();
  recipe.experts_only = true;
  EXPECT_THROW(recipe.read(), Error);
  recipe = QuantRecipe("q4_k");
  recipe.topology = "/no/such/file.yaml";
  EXPECT_THROW(recipe.read(), Error);
  EXPECT_NO_THROW(QuantRecipe("4").read());
}

}  // namespace
}  // namespace gale
