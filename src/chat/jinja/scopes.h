#pragma once
#include "chat/jinja/ast.h"

namespace gale::jinja {

/// Finds the names that jinja2 has undefined where a body begins, although the caller may have variables of these names: each
/// body with names of its own (of the template, a macro, a loop, a block that is captured ...) stores them before it loads them,
/// and no body around it has them. Fills Body::hidden, as jinja2/idtracking.py decides it.
void find_hidden_names(Body& body);

}  // namespace gale::jinja
