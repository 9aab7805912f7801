/* SPDX-License-Identifier: BSD-3-Clause
 * serve_list.c - what is in a directory, as a page
 * Source: net/http/fs.go (dirList)
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/host/serve_internal.h"

enum { LIST_MAX = 4096 };

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of what is in it, those of directories with a slash. */
static size_t read_names(int fd, char **names, bool *has_more)
{
	/* closedir() would close what is not its own to close. */
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, fd);
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir))) {
		struct stat st;
		bool is_dir = false;

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		*has_more = count == LIST_MAX;
		if (*has_more)
			break;
		if (fstatat(dirfd(dir), entry->d_name, &st,
			    AT_SYMLINK_NOFOLLOW) == 0)
			is_dir = S_ISDIR(st.st_mode);
		if (asprintf(&names[count], "%s%s", entry->d_name,
			     is_dir ? "/" : "") >= 0)
			count++;
	}
	if (dir)
		closedir(dir);
	else if (copy >= 0)
		close(copy);
	qsort(names, count, sizeof(*names), by_name);
	return count;
}

/* For an href. */
static char *escape_url(const char *text)
{
	char *out = malloc(strlen(text) * 3 + 3), *to = out;

	if (out && strchr(text, ':')) /* else it would be a scheme */
		to = stpcpy(to, "./");
	for (; out && *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-_.~/$&+,;=:@", c))
			*to++ = (char)c;
		else
			to += sprintf(to, "%%%02X", c);
	}
	if (out)
		*to = '\0';
	return out;
}

static void write_name(FILE *page, const char *name)
{
	char *url = escape_url(name), *html = serve_escape_html(name);
	char *link = url ? serve_escape_html(url) : NULL;

	if (link && html)
		fprintf(page, "<a href=\"%s\">%s</a>\n", link, html);
	free(url);
	free(html);
	free(link);
}

void serve_list(struct serve_conn *conn, int fd)
{
	char **names = calloc(LIST_MAX, sizeof(*names)), *text = NULL;
	size_t count, len = 0;
	FILE *page = names ? open_memstream(&text, &len) : NULL;
	bool has_more = false;

	if (!page) {
		free(names);
		ts_sock_close(fd);
		serve_answer_status(conn, 500);
		return;
	}
	ts_hurry_begin();
	count = read_names(fd, names, &has_more);
	ts_hurry_end();
	ts_sock_close(fd);
	fputs("<!doctype html>\n<meta name=\"viewport\" "
	      "content=\"width=device-width\">\n<pre>\n", page);
	for (size_t i = 0; i < count; i++) {
		write_name(page, names[i]);
		free(names[i]);
	}
	fputs(has_more ? "... and more\n</pre>\n" : "</pre>\n", page);
	free(names);
	if (fclose(page) == 0 && len <= TS_SERVE_TEXT_MAX)
		serve_answer(conn, 200, "text/html; charset=utf-8", "", text,
			     len);
	else
		serve_answer_status(conn, 500);
	free(text);
}
