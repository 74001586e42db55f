#pragma once
#include <filesystem>
#include <string>

namespace gale::hub {

/// Where the hub is and where its files lie, from the variables that huggingface_hub reads too: HF_ENDPOINT, HF_HOME
/// (XDG_CACHE_HOME), HF_HUB_CACHE (HUGGINGFACE_HUB_CACHE), HF_TOKEN (HUGGING_FACE_HUB_TOKEN), HF_TOKEN_PATH,
/// HF_HUB_DISABLE_IMPLICIT_TOKEN, HF_HUB_OFFLINE (TRANSFORMERS_OFFLINE), HF_HUB_DOWNLOAD_TIMEOUT.
struct Settings {
  std::string endpoint;                     ///< "https://huggingface.co", without a slash at its end
  std::filesystem::path cache, token_path;  ///< the folder of models--org--name; the file of the token
  std::string token;                        ///< sent to the endpoint and to nobody else; "" for none
  std::string token_source;                 ///< the variable or file it comes from
  std::string token_problem;                ///< why that cannot be sent, "" where it can
  bool offline = false;
  int stall_seconds = 30;  ///< a transfer without a byte for so long is cut and resumed

  /// Throws Error{invalid_argument} for an endpoint that is no http(s) address. A token that cannot stand in a header is no
  /// fault before it is needed: login, and what needs no hub, must work with it.
  static Settings from_environment();
  /// The token, for a request. Throws Error{invalid_argument} with token_problem where there is one.
  const std::string& token_to_send() const;
  /// The endpoint as messages may show it: without a name and password.
  std::string shown_endpoint() const;
};

/// `text` without the white space around it. Throws Error{invalid_argument} where it has any within, or control characters: sent
/// in a header it could say more than a token. `where` names it.
std::string clean_token(std::string_view text, std::string_view where);
/// Writes the token so that only its owner may read it (mode 0600), in one step.
void save_token(const Settings& settings, const std::string& token);

}  // namespace gale::hub
