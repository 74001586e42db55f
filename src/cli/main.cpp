#include "cli/cli.h"

int main(int argc, char** argv) { return gale::cli::main_program(argc, argv); }
