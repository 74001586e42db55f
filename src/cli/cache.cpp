#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/fail.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/progress.h"
#include "hub/cache_scan.h"
#include "hub/settings.h"

namespace gale::cli {
namespace {

constexpr size_t kShortCommit = 8;

struct Flags {
  std::string repo;
  bool yes = false, json = false;
};

std::filesystem::path cache_folder() { return hub::Settings::from_environment().cache; }

Json repo_json(const hub::CachedRepo& repo) {
  Json revisions = Json::array();
  for (const auto& r : repo.revisions)
    revisions.push_back({{"commit", r.commit}, {"refs", r.refs}, {"files", r.files}, {"bytes", r.bytes}});
  return {{"repo", repo.id},       {"path", repo.folder.string()},        {"files", repo.files},
          {"bytes", repo.bytes},   {"partial_bytes", repo.partial_bytes}, {"modified", repo.modified},
          {"revisions", revisions}};
}

int list(const Flags& flags) {
  const auto folder = cache_folder();
  const auto repos = hub::scan_cache(folder);
  int64_t bytes = 0;
  Json all = Json::array();
  std::string text;
  for (const auto& repo : repos) {
    bytes += repo.bytes;
    all.push_back(repo_json(repo));
    text +=
        fmt::format("{:<48} {:>9}  {:>3} files{}\n", repo.id, size_text(repo.bytes), repo.files,
                    repo.partial_bytes > 0 ? fmt::format(", {} of an interrupted download", size_text(repo.partial_bytes)) : "");
    for (const auto& r : repo.revisions)
      text += fmt::format("  {}  {:>3} files  {}\n", r.commit.substr(0, kShortCommit), r.files, fmt::join(r.refs, ", "));
  }
  if (flags.json)
    print_json({{"cache", folder.string()}, {"bytes", bytes}, {"repos", all}});
  else
    print(text + fmt::format("{} models, {} in {}\n", repos.size(), size_text(bytes), folder.string()));
  return 0;
}

bool confirmed(const std::string& question, bool yes) {
  if (yes) return true;
  if (!stdin_is_terminal()) throw UsageError("gale cache rm asks before it removes; without a terminal it needs --yes");
  print(question + " [y/N] ", true);
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

int remove(const Flags& flags) {
  const auto folder = cache_folder();
  const size_t at = flags.repo.find('@');
  const hub::CachedRepo repo = hub::find_cached(folder, flags.repo.substr(0, at));
  const hub::CachedRevision* revision = at == std::string::npos ? nullptr : &hub::find_revision(repo, flags.repo.substr(at + 1));
  const int64_t bytes = revision ? hub::bytes_of_revision_alone(repo, *revision) : repo.bytes + repo.partial_bytes;
  const std::string what = revision ? fmt::format("{}@{}", repo.id, revision->commit.substr(0, kShortCommit)) : repo.id;
  if (!confirmed(fmt::format("Remove {} ({})?", what, size_text(bytes)), flags.yes)) return 1;
  revision ? hub::remove_revision(folder, repo, *revision) : hub::remove_repo(folder, repo);
  print(fmt::format("removed {}, {}\n", what, size_text(bytes)));
  return 0;
}

Json check_json(const hub::CacheCheck& check) {
  Json faults = Json::array();
  for (const auto& f : check.faults) faults.push_back({{"repo", f.repo}, {"file", f.file}, {"problem", f.problem}});
  return {{"files", check.files}, {"bytes", check.bytes}, {"unknown", check.unknown}, {"faults", faults}};
}

int verify(const Flags& flags) {
  const auto folder = cache_folder();
  const auto repos = flags.repo.empty() ? hub::scan_cache(folder) : std::vector{hub::find_cached(folder, flags.repo)};
  int64_t total = 0, done = 0;
  for (const auto& repo : repos) total += repo.bytes;
  hub::CacheCheck check;
  {
    Progress bar("verifying");
    for (const auto& repo : repos) hub::verify_repo(repo, check, [&](int64_t bytes) { bar.update(done += bytes, total); });
  }
  if (flags.json) {
    print_json(check_json(check));
  } else {
    for (const auto& f : check.faults) print(fmt::format("{}: {}: {}\n", f.repo, f.file, f.problem));
    print(fmt::format("{} files, {} read{}\n", check.files, size_text(check.bytes),
                      check.unknown > 0 ? fmt::format("; {} cannot be checked, their names are no hashes", check.unknown) : ""));
  }
  require(check.faults.empty(), ErrorCode::corrupt,
          "{} {} damaged, the first in {}; gale cache rm {} and use it again to download it", check.faults.size(),
          check.faults.size() == 1 ? "file is" : "files are", check.faults.empty() ? "" : check.faults[0].repo,
          check.faults.empty() ? "" : check.faults[0].repo);
  return 0;
}

}  // namespace

void add_cache(CommandLine& line) {
  CLI::App* sub =
      line.app.add_subcommand("cache", "Downloaded models: list, rm, verify (HF_HUB_CACHE, shared with huggingface_hub)");
  sub->require_subcommand(1);
  const auto flags = std::make_shared<Flags>();
  const auto add = [&](const char* name, const char* help, int (*action)(const Flags&)) {
    CLI::App* verb = sub->add_subcommand(name, help);
    verb->callback([&line, flags, action] { line.action = [flags, action] { return action(*flags); }; });
    return verb;
  };
  add("list", "What is there", list)->add_flag("--json", flags->json, "Print one JSON object");
  CLI::App* rm = add("rm", "Remove a model, or one revision of it", remove);
  rm->add_option("REPO", flags->repo, "org/name, or org/name@REVISION")->required();
  rm->add_flag("--yes", flags->yes, "Do not ask");
  CLI::App* check = add("verify", "Read everything, and compare it with the hashes it is named by", verify);
  check->add_option("REPO", flags->repo, "Only this one");
  check->add_flag("--json", flags->json, "Print one JSON object");
}

}  // namespace gale::cli
