/* SPDX-License-Identifier: BSD-3-Clause
 * own_files.h - a table of descriptors for the engine's thread alone
 */
#ifndef CORE_ENGINE_OWN_FILES_H
#define CORE_ENGINE_OWN_FILES_H

/* Gives the calling thread a table of its own, in which 0 and 1 are
 * /dev/null. To be called before the thread opens anything. 0; or a negative
 * errno, and then the table is the process's as before. */
int own_files_take(void);

#endif
