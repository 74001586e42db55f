#pragma once
#include <string_view>

namespace gale::jinja {

/// The named character references of HTML 5 as records: name, "!" where the semicolon may be left out, "\2", text, "\1".
std::string_view html_entities();

}  // namespace gale::jinja
