/* SPDX-License-Identifier: BSD-3-Clause
 * clean_text.h - text of others that goes to logs, terminals and header lines
 *
 * A control character there moves the cursor, or begins a line that nobody
 * wrote.
 */
#ifndef CORE_BASE_CLEAN_TEXT_H
#define CORE_BASE_CLEAN_TEXT_H

#include <stdbool.h>

/* None of its characters is a control character. */
bool ts_is_clean_text(const char *text);
/* Puts mark in place of each. */
void ts_clean_text(char *text, char mark);

#endif
