/* SPDX-License-Identifier: BSD-3-Clause
 * cli.h - tsrun status|ip|whois|ping: questions to a running node
 */
#ifndef CORE_ENGINE_CLI_H
#define CORE_ENGINE_CLI_H

/* argv[0] is the verb; options --json, --socket PATH, --hostname NAME. Speaks
 * the LocalAPI over the node's Unix socket. Returns the exit status. */
int cli_main(int argc, char **argv);

#endif
