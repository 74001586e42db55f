#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <optional>

#include "base/clock.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/rng.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/cost.h"
#include "cli/options.h"

namespace gale::cli {
namespace {

constexpr int64_t kBatchDepth = 128;  // b1, b8 ... decode at this depth, so that they compare

struct Flags {
  ModelFlags model;
  int64_t prompt = 512, generate = 128, depth = 0;
  int repetitions = 3;
  std::vector<int64_t> batch;
  bool roofline = false, json = false;

  bool wants_roofline() const { return roofline || json; }
};

// One line of the table: prefill of `prompt` tokens, or `generate` tokens for each of `batch` sequences at a depth.
struct Case {
  std::string name;
  int64_t prompt = 0, generate = 0, batch = 1, depth = 0;
};

struct Result {
  std::string name;
  double mean = 0, deviation = 0;
  std::vector<double> runs;
  std::optional<Share> share;
};

std::vector<Case> cases_of(const Flags& flags) {
  std::vector<Case> out;
  const std::string at = flags.depth > 0 ? fmt::format("@{}", flags.depth) : "";
  if (flags.prompt > 0) out.push_back({fmt::format("pp{}{}", flags.prompt, at), flags.prompt, 0, 1, flags.depth});
  if (flags.generate > 0) {
    out.push_back({fmt::format("tg{}{}", flags.generate, at), 0, flags.generate, 1, flags.depth});
    for (const int64_t n : flags.batch) out.push_back({fmt::format("b{}", n), 0, flags.generate, n, kBatchDepth});
  }
  return out;
}

class Bench {
 public:
  explicit Bench(const Flags& flags) : flags_(flags), cases_(cases_of(flags)) {
    if (cases_.empty()) throw UsageError("nothing to measure: -p and -n are both 0");
    EngineOptions options = engine_options(flags.model);
    options.max_sequences = 1;
    options.prefix_cache = false;  // every run does all of its work
    options.step_seconds = 1e9;    // and prompts come in whole steps
    for (const Case& c : cases_) {
      options.max_sequences = std::max(options.max_sequences, int32_t(c.batch));
      options.context = std::max(options.context, c.depth + c.prompt + c.generate + slack(c) + 2);
    }
    engine_ = open_engine(options);
    cost_ = model_cost(*engine_, options);
    if (flags.wants_roofline()) pool_ = std::make_unique<ThreadPool>(engine_->info().threads);
  }

  std::vector<Result> run() {
    std::vector<Result> out;
    for (const Case& c : cases_) {
      once(c);  // pages, caches and clocks settle
      Result r{c.name, 0, 0, {}, {}};
      std::vector<double> shares;
      const char* bound = "memory";
      for (int i = 0; i < flags_.repetitions; ++i) {
        const auto before = probe();
        const double seconds = once(c);
        const auto after = probe();
        r.runs.push_back(tokens(c) / seconds);
        if (!before) continue;
        const Share s = share_of(work(c), seconds, between(*before, *after));
        shares.push_back(s.share);
        bound = s.bound;
      }
      for (const double x : r.runs) r.mean += x / double(r.runs.size());
      for (const double x : r.runs) r.deviation += (x - r.mean) * (x - r.mean);
      r.deviation = r.runs.size() > 1 ? std::sqrt(r.deviation / double(r.runs.size() - 1)) : 0;
      if (!shares.empty()) r.share = Share{median(shares), bound};
      out.push_back(r);
    }
    return out;
  }

  const Engine& engine() const { return *engine_; }
  const ModelCost& cost() const { return cost_; }

  // The median of all probes, one by one.
  std::optional<Roofline> roofline() const {
    if (probes_.empty()) return {};
    Roofline out = probes_.front();
    for (double Roofline::* field :
         {&Roofline::read_gb_s, &Roofline::int8_tmac_s, &Roofline::bf16_tmac_s, &Roofline::f32_tmac_s}) {
      std::vector<double> values;
      for (const Roofline& r : probes_) values.push_back(r.*field);
      out.*field = median(values);
    }
    return out;
  }

 private:
  static double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const size_t n = values.size();
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
  }

  static Roofline between(const Roofline& a, const Roofline& b) {
    Roofline out = a;
    for (double Roofline::* field : {&Roofline::read_gb_s, &Roofline::int8_tmac_s, &Roofline::bf16_tmac_s, &Roofline::f32_tmac_s})
      out.*field = (a.*field + b.*field) / 2;
    return out;
  }

  std::optional<Roofline> probe() {
    if (!pool_) return {};
    const Isa isa = choose_isa(detect_cpu(), engine_->info().isa);
    probes_.push_back(measure_roofline(cpu_kernels(isa), *pool_));
    return probes_.back();
  }

  // Prompts of a batch are read one after another; the first sequences go on meanwhile and must not end before the last began.
  int64_t slack(const Case& c) const {
    return c.batch > 1 ? (c.batch * (c.depth + 1)) / flags_.model.batch_tokens + c.batch + 2 : 0;
  }
  static double tokens(const Case& c) { return c.prompt > 0 ? double(c.prompt) : double(c.generate * c.batch); }

  Work work(const Case& c) const {
    const double rows = tokens(c);
    if (c.prompt > 0) {
      const double steps = std::ceil(double(c.prompt) / double(flags_.model.batch_tokens));
      return {steps * cost_.bytes, rows * cost_.layer_macs + cost_.head_macs, cost_.int8_share, cost_.bf16_share};
    }
    const double depth = double(c.depth) + double(c.generate) / 2;
    const double weights = std::min(cost_.bytes, double(c.batch) * cost_.active_bytes);
    return {double(c.generate) * (weights + double(c.batch) * depth * cost_.kv_bytes),
            rows * (cost_.layer_macs + cost_.head_macs), cost_.int8_share, cost_.bf16_share};
  }

  Request request(int64_t prompt, int64_t generate) {
    Request out;
    for (int64_t i = 0; i < prompt; ++i) out.tokens.push_back(int32_t(random_() % uint64_t(engine_->info().vocab)));
    out.max_tokens = generate;
    out.ignore_eos = true;
    return out;
  }

  // Blocks for a stream's next token.
  static void next_token(EventStream& stream) {
    const auto event = stream.next();
    const auto* end = event ? std::get_if<EndEvent>(&*event) : nullptr;
    require(event && end == nullptr, ErrorCode::internal, "a sequence ended early{}",
            end && !end->error.empty() ? ": " + end->error : "");
  }

  double once(const Case& c) { return c.prompt > 0 ? prefill(c) : decode(c); }

  // Seconds from the request to its first token; with a depth, less what the depth alone takes.
  double prefill(const Case& c) {
    const auto timed = [&](int64_t n) {
      const double start = now_seconds();
      const auto stream = engine_->submit(request(n, 1));
      next_token(*stream);
      return now_seconds() - start;
    };
    const double shallow = c.depth > 0 ? timed(c.depth) : 0;
    return std::max(timed(c.depth + c.prompt) - shallow, 1e-9);
  }

  // Seconds of `generate` steps in which every sequence of the batch had a row: from the token that all have to the last one
  // counted.
  double decode(const Case& c) {
    std::vector<std::unique_ptr<EventStream>> streams;
    for (int64_t i = 0; i < c.batch; ++i)
      streams.push_back(engine_->submit(request(std::max<int64_t>(c.depth, 1), c.generate + 1 + slack(c))));
    const auto round = [&] {
      for (const auto& stream : streams) next_token(*stream);
    };
    round();
    const double start = now_seconds();
    for (int64_t i = 0; i < c.generate; ++i) round();
    return std::max(now_seconds() - start, 1e-9);
  }

  const Flags& flags_;
  std::vector<Case> cases_;
  std::unique_ptr<Engine> engine_;
  ModelCost cost_;
  std::unique_ptr<ThreadPool> pool_;
  std::vector<Roofline> probes_;
  SplitMix64 random_{1};
};

Json result_json(const Result& r) {
  Json out = {{"name", r.name},   {"tokens_per_second", r.mean}, {"share", nullptr},
              {"bound", nullptr}, {"deviation", r.deviation},    {"runs", r.runs}};
  if (r.share) out["share"] = r.share->share, out["bound"] = r.share->bound;
  return out;
}

void print_table(const Bench& bench, const std::vector<Result>& results) {
  const ModelInfo& info = bench.engine().info();
  print(fmt::format("{}: {}, {} parameters, {} in the file's form, packed {:.3f} of it; {}, {} thread(s)\n", info.source,
                    info.architecture, count_text(info.parameters), size_text(info.file_bytes),
                    double(info.packed_bytes) / double(std::max<int64_t>(info.file_bytes, 1)), info.isa, info.threads));
  if (const auto r = bench.roofline())
    print(fmt::format("roofline: read {:.1f} GB/s, int8 {:.3f} TMAC/s, bf16 {:.3f}, f32 {:.3f} (medians)\n", r->read_gb_s,
                      r->int8_tmac_s, r->bf16_tmac_s, r->f32_tmac_s));
  for (const Result& r : results)
    print(fmt::format("{:<14} {:>10.2f} ± {:.2f} t/s{}\n", r.name, r.mean, r.deviation,
                      r.share ? fmt::format("   {:.2f} of {}", r.share->share, r.share->bound) : ""));
}

int bench(const Flags& flags) {
  Bench bench(flags);
  const auto results = bench.run();
  if (!flags.json) {
    print_table(bench, results);
    return 0;
  }
  Json roofline = nullptr, list = Json::array();
  if (const auto r = bench.roofline())
    roofline = {{"read_gb_s", r->read_gb_s},   {"int8_tmac_s", r->int8_tmac_s}, {"bf16_tmac_s", r->bf16_tmac_s},
                {"f32_tmac_s", r->f32_tmac_s}, {"threads", r->threads},         {"isa", isa_name(r->isa)}};
  for (const Result& r : results) list.push_back(result_json(r));
  const ModelInfo& info = bench.engine().info();
  print_json({{"model", info.source},
              {"isa", info.isa},
              {"threads", info.threads},
              {"file_bytes", info.file_bytes},
              {"packed_bytes", info.packed_bytes},
              {"packed_to_file", double(info.packed_bytes) / double(std::max<int64_t>(info.file_bytes, 1))},
              {"roofline", roofline},
              {"results", list}});
  return 0;
}

}  // namespace

void add_bench(CommandLine& line) {
  CLI::App* sub = line.app.add_subcommand("bench", "Speed of prefill and decode, as a share of what the machine can do");
  const auto flags = std::make_shared<Flags>();
  add_model_flags(*sub, flags->model);
  const auto count = CLI::Range(int64_t(0), int64_t(1) << 24);
  sub->add_option("-p,--prompt-tokens", flags->prompt, "Prefill of so many tokens; 0: none")->check(count)->capture_default_str();
  sub->add_option("-n,--gen-tokens", flags->generate, "Decode of so many tokens; 0: none")->check(count)->capture_default_str();
  sub->add_option("--batch", flags->batch, "Also decode so many sequences at once, each at depth 128: 1,8 gives b1 and b8")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  sub->add_option("--depth", flags->depth, "Tokens already in the cache")->check(count)->capture_default_str();
  sub->add_option("-r,--repetitions", flags->repetitions, "Runs of each, after one that does not count")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  sub->add_flag("--roofline", flags->roofline,
                "Measure the machine before and after each run, and print shares; always with --json");
  sub->add_flag("--json", flags->json, "Print one JSON object");
  sub->callback([&line, flags] { line.action = [flags] { return bench(*flags); }; });
}

}  // namespace gale::cli
