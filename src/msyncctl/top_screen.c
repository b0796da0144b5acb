// SPDX-License-Identifier: Apache-2.0
/*
 * One loop waits for keys, signals and the mounts' answers at once, and for
 * nothing else. Signals are read from a descriptor: curses' own handlers
 * would draw and end the process in the middle of anything.
 */
#include "msyncctl/top_screen.h"

#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "msyncctl/output.h"
#include "util/cleanup.h"

#define SECOND INT64_C(1000000000)
#define MILLISECOND INT64_C(1000000)
/* Longer than a daemon that is well takes, whatever it does. */
#define PATIENCE (2 * SECOND)
/* How long a drawing may be old: seconds of waiting are counted. */
#define REDRAW SECOND
#define ESCAPE_MS 25

struct screen {
	struct view_output output; /* first: the view knows only this */
	struct top_mounts *mounts;
	const struct context *context;
	SCREEN *curses;
	int64_t delay;
	int64_t next; /* when to ask again */
	size_t scroll;
	int line; /* the next to be drawn */
	int signals; /* descriptor */
	int ended_by; /* signal */
	bool paused, help, quit;
};

const char *top_clock(char text[16])
{
	time_t now = time(NULL);
	struct tm local;

	if (!localtime_r(&now, &local) ||
		strftime(text, 16, "%H:%M:%S", &local) == 0)
		strcpy(text, "-");
	return text;
}

/* --- drawing ------------------------------------------------------------- */

static attr_t attributes_of(enum view_style style, bool color)
{
	switch (style) {
	case view_bold:
		return A_BOLD;
	case view_dim:
		return A_DIM;
	case view_alarm:
		return A_BOLD | (color ? (attr_t)COLOR_PAIR(1) : 0);
	case view_bar:
		return A_REVERSE;
	default:
		return A_NORMAL;
	}
}

static void draw_line(struct view_output *output, enum view_style style,
	const char *text)
{
	struct screen *screen = (struct screen *)output;

	attrset(attributes_of(style, screen->context->color));
	mvaddstr(screen->line++, 0, text);
}

static size_t rows_of(const struct view *view, size_t files)
{
	size_t rows = view_rows(view);

	return files > rows ? files - rows : 0;
}

static void draw(struct screen *screen)
{
	struct top_mounts *mounts = screen->mounts;
	owned_memory struct view_mount *list = top_mounts_view(mounts,
		2 * screen->delay > PATIENCE ? 2 * screen->delay : PATIENCE);
	char clock[16];
	struct view view = {
		.mounts = list,
		.count = list ? mounts->count : 0,
		.selected = mounts->selected,
		.order = mounts->order,
		.clock = top_clock(clock),
		.delay = (double)screen->delay / (double)SECOND,
		.paused = screen->paused,
		.help = screen->help,
		.width = (unsigned)COLS,
		.height = (unsigned)LINES,
	};
	size_t last = view.count == 0 ? 0 :
		rows_of(&view, list[view.selected].sample->count);

	if (screen->scroll > last)
		screen->scroll = last;
	view.scroll = screen->scroll;
	erase();
	screen->line = 0;
	view_draw(&view, &screen->output);
	refresh();
}

/* --- keys ---------------------------------------------------------------- */

static void select_mount(struct screen *screen, size_t number)
{
	if (number >= screen->mounts->count)
		return;
	screen->mounts->selected = number;
	screen->scroll = 0;
}

static void scroll_by(struct screen *screen, long lines)
{
	if (lines < 0 && screen->scroll < (size_t)-lines)
		screen->scroll = 0;
	else
		screen->scroll += (size_t)lines;
}

static void take_key(struct screen *screen, int key)
{
	struct top_mounts *mounts = screen->mounts;
	long page = LINES > 10 ? LINES - 10 : 1;

	switch (key) {
	case 'q':
	case 'Q':
		screen->quit = true;
		break;
	case 's':
		top_mounts_sort(mounts, (mounts->order + 1) % SAMPLE_ORDERS);
		break;
	case ' ':
		screen->paused = !screen->paused;
		screen->next = 0;
		break;
	case '?':
	case 'h':
		screen->help = !screen->help;
		break;
	case '\t':
		if (mounts->count > 0)
			select_mount(screen,
				(mounts->selected + 1) % mounts->count);
		break;
	case KEY_UP:
		scroll_by(screen, -1);
		break;
	case KEY_DOWN:
		scroll_by(screen, 1);
		break;
	case KEY_PPAGE:
		scroll_by(screen, -page);
		break;
	case KEY_NPAGE:
		scroll_by(screen, page);
		break;
	case KEY_HOME:
		screen->scroll = 0;
		break;
	case KEY_END:
		/* Drawing makes it the last that there is. */
		screen->scroll = SIZE_MAX / 2;
		break;
	default:
		if (key >= '1' && key <= '9')
			select_mount(screen, (size_t)(key - '1'));
	}
}

/* --- signals ------------------------------------------------------------- */

static void resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 &&
		size.ws_col > 0)
		resizeterm(size.ws_row, size.ws_col);
	clearok(curscr, TRUE);
}

static void take_signal(struct screen *screen)
{
	struct signalfd_siginfo info;

	if (read(screen->signals, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGTSTP:
		endwin();
		raise(SIGSTOP);
		refresh();
		resize();
		break;
	case SIGCONT:
	case SIGWINCH:
		resize();
		break;
	default:
		screen->ended_by = (int)info.ssi_signo;
		screen->quit = true;
	}
}

static int block_signals(sigset_t *before)
{
	static const int wanted[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT,
		SIGTSTP, SIGCONT, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, before);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* --- the loop ------------------------------------------------------------ */

static void take_keys(struct screen *screen)
{
	int key;

	while (!screen->quit && (key = getch()) != ERR)
		take_key(screen, key);
}

/* Until something happens, or until. */
static void wait_for_events(struct screen *screen, int64_t until)
{
	struct top_mounts *mounts = screen->mounts;
	nfds_t count = 2 + mounts->count;
	owned_memory struct pollfd *list = calloc(count, sizeof(*list));
	int64_t left = until - monotonic_now();

	if (!list) {
		screen->quit = true;
		return;
	}
	list[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	list[1] = (struct pollfd){ .fd = screen->signals, .events = POLLIN };
	for (size_t i = 0; i < mounts->count; i++) {
		/* One that closes unasked is seen when it is asked again. */
		list[i + 2].fd = mounts->list[i].reader.asked ?
			mounts->list[i].reader.fd :
			-1;
		list[i + 2].events = POLLIN;
	}
	if (poll(list, count, left > 0 ? (int)(left / MILLISECOND) + 1 : 0) <=
		0)
		return;
	if (list[1].revents)
		take_signal(screen);
	if (list[0].revents & POLLIN)
		take_keys(screen);
	/* The terminal is gone: there is an end to be read as well. */
	if (list[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		screen->quit = true;
}

static void run(struct screen *screen)
{
	while (!screen->quit) {
		int64_t now = monotonic_now();

		if (!screen->paused && now >= screen->next) {
			top_mounts_look(screen->mounts);
			top_mounts_ask(screen->mounts);
			screen->next = now + screen->delay;
		}
		top_mounts_take(screen->mounts);
		draw(screen);
		wait_for_events(screen,
			!screen->paused && screen->next < now + REDRAW ?
				screen->next :
				now + REDRAW);
	}
}

/* NULL, and it has been said why. */
static SCREEN *open_terminal(bool color)
{
	const char *name = getenv("TERM");
	SCREEN *curses = newterm(NULL, stdout, stdin);

	if (!curses || !tigetstr("cup")) {
		if (curses) {
			endwin();
			delscreen(curses);
		}
		output_error(NULL, "top: a terminal of type '%s' can't show a "
			"screen: use --once", name ? name : "");
		return NULL;
	}
	if (color && has_colors()) {
		start_color();
		use_default_colors();
		init_pair(1, COLOR_RED, -1);
	}
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	curs_set(0);
	return curses;
}

int top_screen_run(struct top_mounts *mounts, int64_t delay,
	const struct context *context)
{
	struct screen screen = {
		.output = { draw_line },
		.mounts = mounts,
		.context = context,
		.delay = delay,
	};
	sigset_t before;

	screen.signals = block_signals(&before);
	if (screen.signals < 0) {
		output_error(NULL, "top: %s", strerror(errno));
		return exit_failed;
	}
	screen.curses = open_terminal(context->color);
	if (screen.curses) {
		run(&screen);
		endwin();
		delscreen(screen.curses);
	}
	close(screen.signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (screen.ended_by != 0) {
		/* The mounts' readers see that this process is gone. */
		signal(screen.ended_by, SIG_DFL);
		raise(screen.ended_by);
	}
	return screen.curses ? exit_ok : exit_failed;
}
