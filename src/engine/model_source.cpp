#include "engine/model_source.h"

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "base/fail.h"
#include "engine/random_model.h"
#include "engine/weight_plan.h"
#include "hub/fetch.h"

namespace gale {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kRandom = "random:";
constexpr const char* kDemoFile = "gale-demo.gguf";

// $GALE_DEMO (a file or its folder), the source tree this program was built from, then where an installed program has its data.
fs::path find_demo() {
  std::vector<fs::path> places;
  if (const char* named = std::getenv("GALE_DEMO"); named && *named) {
    const fs::path path = named;
    places.push_back(fs::is_directory(path) ? path / kDemoFile : path);
  } else {
    places.push_back(fs::path(GALE_DEMO_DIR) / kDemoFile);  // set by CMakeLists.txt
    std::error_code error;
    const fs::path program = fs::read_symlink("/proc/self/exe", error);
    if (!error) places.push_back(program.parent_path().parent_path() / "share/gale" / kDemoFile);
  }
  std::string looked;
  for (const fs::path& place : places) {
    if (fs::exists(place)) return place;
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  fail(ErrorCode::not_found, "the demo model is not there; looked for {}; GALE_DEMO may name it", looked);
}

}  // namespace

bool is_random_model(std::string_view model) { return model.starts_with(kRandom); }

bool is_repository(const std::string& model) {
  std::error_code ignored;
  return !is_random_model(model) && !fs::exists(model, ignored) && hub::parse_repo_name(model).has_value();
}

LocalModel local_model(const std::string& model, std::string_view quant, ModelFiles files,
                       const std::function<void(int64_t done, int64_t total)>& progress) {
  if (!is_repository(model)) return {model, std::string(quant)};
  const auto repo = hub::parse_repo_name(model);
  std::error_code ignored;
  hub::Wanted wanted{.weights = files == ModelFiles::all, .quant = ""};
  if (!quant.empty() && quant != QuantRecipe::kAuto) {
    wanted.quant = QuantPolicy::is_named(quant) ? QuantPolicy::named(quant).name() : quant;
    wanted.only_quant = !QuantPolicy::is_named(quant);
  }
  try {
    const hub::Fetched fetched = hub::fetch(*repo, wanted, hub::Settings::from_environment(), progress);
    const bool folder = fs::is_directory(fetched.path, ignored);
    return {fetched.path.string(), fetched.by_quant ? "" : std::string(quant), folder && !wanted.weights};
  } catch (const Error& e) {
    if (e.code() != ErrorCode::not_found) throw;
    if (wanted.only_quant)
      fail(ErrorCode::invalid_argument, "{}; nor is {} a type to quantize to: these are {}", e.what(), quant,
           fmt::join(QuantPolicy::names(), ", "));
    fail(e.code(), "{} does not exist as a file or folder, nor could it be had as a repository: {}", model, e.what());
  }
}

std::shared_ptr<const Checkpoint> open_model(const std::string& model, std::string_view random_type, ThreadPool& pool) {
  require(!model.empty(), ErrorCode::invalid_argument,
          "no model is named; it may be a folder, a .gguf file, a repository such as org/name, \"demo\" or \"random:SHAPE\"");
  if (is_random_model(model)) return random_checkpoint(find_random_shape(model.substr(kRandom.size())), random_type, pool);
  if (model == "demo") return Checkpoint::open(find_demo());
  return Checkpoint::open(local_model(model, "", ModelFiles::all).path);
}

}  // namespace gale
