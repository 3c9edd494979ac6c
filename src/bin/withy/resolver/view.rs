//! How the resolver looks, on a screen of any size.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};
use withy::ConflictKind;

use super::panes::{Mark, Pane, PaneLine};
use super::state::{Focus, Mode, State, conflicts};

/// Narrower screens show one pane at a time.
const THREE_PANES: u16 = 60;
/// With fewer lines there is only the list, and with fewer still no frame around it.
const WITH_PANES: u16 = 12;
const WITH_FRAME: u16 = 6;

/// The footer: those with the highest numbers go first where there is no room.
const KEYS: [(&str, u8); 9] = [
    ("? help", 0),
    ("o ours", 3),
    ("t theirs", 4),
    ("b base", 7),
    ("d delete", 6),
    ("e edit", 5),
    ("n next", 2),
    ("c continue", 1),
    ("q quit", 0),
];

const HELP: [&str; 19] = [
    "o t b d   take ours, theirs, the base's, or delete the key",
    "O T       ours or theirs for all that are not settled",
    "e         edit the value ($VISUAL, $EDITOR or vi)",
    "u         not settled any more",
    "n         next conflict that is not settled",
    "/         show only keys with some text in them",
    "Esc       show all keys again",
    "c         continue, when nothing is left to settle",
    "q         quit; what is settled is stored already",
    "",
    "up down   k j, PgUp PgDn, Home End: move in the list",
    "Tab       move in the list, or in one of the panes",
    "J K       scroll all panes; left right: sideways",
    "",
    "ours receives the changes, theirs are the changes",
    "[ ]       not settled; [o] ours, [t] theirs,",
    "          [b] base, [d] deleted, [e] edited",
    "+         the base does not have this line",
    "o t -     gone in ours, in theirs, in both",
];

/// Where the parts of the screen are.
pub(super) struct Areas {
    header: Rect,
    list: Rect,
    detail: Rect,
    panes: Option<Rect>,
    footer: Rect,
}

impl Areas {
    pub(super) fn of(screen: Rect) -> Self {
        let with_panes = screen.height >= WITH_PANES;
        let shown_from = |height: u16| u16::from(screen.height >= height);
        let [header, detail, footer] = [3, 4, 2].map(shown_from);
        let rest = screen.height - header - detail - footer;
        let list = if with_panes { (rest / 3).max(5) } else { rest };
        let [header, list, detail, panes, footer] = Layout::vertical([
            Constraint::Length(header),
            Constraint::Length(list),
            Constraint::Length(detail),
            Constraint::Min(0),
            Constraint::Length(footer),
        ])
        .areas(screen);
        Self { header, list, detail, panes: with_panes.then_some(panes), footer }
    }

    fn list_rows(&self) -> Rect {
        match self.is_framed() {
            true => Block::bordered().inner(self.list),
            false => self.list,
        }
    }

    fn is_framed(&self) -> bool {
        self.list.height + 3 >= WITH_FRAME
    }

    /// How many rows the list has, and how many lines a pane.
    pub(super) fn heights(&self) -> (usize, usize) {
        let pane = self.panes.map_or(0, |area| area.height.saturating_sub(2));
        (self.list_rows().height.into(), pane.into())
    }
}

/// Draws everything; `panes` is absent if nothing is selected.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State, panes: Option<&[Pane; 3]>, color: bool) {
    let look = Look { color };
    let areas = Areas::of(frame.area());
    draw_header(frame, areas.header, state, look);
    draw_list(frame, &areas, state, look);
    frame.render_widget(Line::from(detail(state)), areas.detail);
    if let (Some(area), Some(panes)) = (areas.panes, panes) {
        draw_panes(frame, area, state, panes, look);
    }
    draw_footer(frame, areas.footer, state, look);
    if state.mode == Mode::Help {
        draw_help(frame);
    }
}

/// Colours, if there are to be any.
#[derive(Clone, Copy)]
struct Look {
    color: bool,
}

impl Look {
    fn paint(self, color: Color) -> Style {
        if self.color { Style::new().fg(color) } else { Style::new() }
    }

    fn of_mark(self, mark: Mark) -> Style {
        match mark {
            Mark::Same => Style::new(),
            Mark::New => self.paint(Color::Green),
            Mark::GoneInOurs | Mark::GoneInTheirs | Mark::GoneInBoth => self.paint(Color::Red),
            Mark::Remark => self.paint(Color::Cyan),
        }
    }

    fn frame(self, has_focus: bool) -> Block<'static> {
        let style = if has_focus { self.paint(Color::Yellow) } else { Style::new() };
        Block::bordered().border_style(style)
    }
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let left = match state.left {
        0 => format!("{} settled", conflicts(state.rows.len())),
        left => format!("{left} of {} left", conflicts(state.rows.len())),
    };
    let color = if state.left == 0 { Color::Green } else { Color::Red };
    let line = Line::from_iter([
        Span::styled(left, look.paint(color)),
        Span::raw(format!(": {}", state.title)),
    ]);
    frame.render_widget(line, area);
}

fn draw_list(frame: &mut Frame<'_>, areas: &Areas, state: &State, look: Look) {
    if areas.is_framed() {
        let place = (state.cursor + 1).min(state.shown.len());
        let mut title = format!("conflicts {place}/{}", state.shown.len());
        if !state.filter.is_empty() {
            title.push_str(&format!(" with {:?}", state.filter));
        }
        let block = look.frame(state.focus == Focus::List).title(title);
        frame.render_widget(block, areas.list);
    }
    let area = areas.list_rows();
    let visible = state.shown.iter().enumerate().skip(state.top).take(area.height.into());
    for ((place, &row), line) in visible.zip(area.rows()) {
        let conflict = &state.rows[row];
        let (mark, color) = match &conflict.settled {
            Some((choice, _)) => (choice.mark(), Color::Green),
            None => ("[ ]", Color::Red),
        };
        let text = Line::from_iter([
            Span::styled(mark, look.paint(color)),
            Span::raw(format!(" {:13} {}", conflict.kind, state.name(row))),
        ]);
        frame.render_widget(text, line);
        if place == state.cursor {
            frame.buffer_mut().set_style(line, Modifier::REVERSED);
        }
    }
    if state.shown.is_empty() {
        let text = match state.rows.is_empty() {
            true => "no conflicts",
            false => "no key has this text in it",
        };
        frame.render_widget(Line::raw(text), area);
    }
}

/// What is known of the selected conflict besides its values.
fn detail(state: &State) -> String {
    let Some(row) = state.selected().map(|row| &state.rows[row]) else { return String::new() };
    let settled = row.settled.as_ref().map(|(choice, by)| match by.as_str() {
        "" => format!("settled: {}", choice.name()),
        by => format!("settled: {} by {by}", choice.name()),
    });
    let draft = state.drafts.contains_key(&row.key).then(|| "edited, with markers left".to_owned());
    let kind = match row.kind {
        ConflictKind::ModifyModify => "both changed it",
        ConflictKind::DeleteModify => "theirs deleted it, ours changed it",
        ConflictKind::ModifyDelete => "theirs changed it, ours deleted it",
        ConflictKind::AddAdd => "both added it",
    };
    let kind = std::iter::once(kind.to_owned());
    let known: Vec<String> =
        settled.into_iter().chain(draft).chain(kind).chain(row.refused.clone()).collect();
    known.join("; ")
}

fn draw_panes(frame: &mut Frame<'_>, area: Rect, state: &State, panes: &[Pane; 3], look: Look) {
    if area.width < THREE_PANES {
        let shown = match state.focus {
            Focus::Pane(pane) => pane,
            // Incoming changes are what is new to whoever merges.
            Focus::List => 2,
        };
        draw_pane(frame, area, (shown, state), &panes[shown], look);
        return;
    }
    let columns: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    for (i, (pane, column)) in panes.iter().zip(columns).enumerate() {
        draw_pane(frame, column, (i, state), pane, look);
    }
}

fn draw_pane(
    frame: &mut Frame<'_>,
    area: Rect,
    (number, state): (usize, &State),
    pane: &Pane,
    look: Look,
) {
    let offset = state.offsets[number];
    let inside = Block::bordered().inner(area);
    let (height, count) = (usize::from(inside.height), pane.lines.len());
    let mut about = pane.about.clone();
    if count > height {
        let last = (offset.line + height).min(count);
        about.push_str(&format!(", lines {}-{last}/{count}", offset.line + 1));
    }
    let block = look.frame(state.focus == Focus::Pane(number));
    let block = block.title(pane.title.as_str()).title_bottom(about);
    frame.render_widget(block, area);
    let visible = pane.lines.iter().skip(offset.line);
    for (PaneLine { mark, text }, line) in visible.zip(inside.rows()) {
        let style = look.of_mark(*mark);
        let [sign, rest] =
            Layout::horizontal([Constraint::Length(1), Constraint::Min(0)]).areas(line);
        frame.render_widget(Line::styled(mark.sign(), style), sign);
        let column = u16::try_from(offset.column).unwrap_or(u16::MAX);
        let text = Paragraph::new(Line::styled(text.as_str(), style)).scroll((0, column));
        frame.render_widget(text, rest);
    }
}

fn draw_footer(frame: &mut Frame<'_>, area: Rect, state: &State, look: Look) {
    let line = match (&state.mode, &state.note) {
        (Mode::Filter(_), _) => {
            let line = Line::raw(format!("/{}", state.filter));
            let end = u16::try_from(line.width()).unwrap_or(u16::MAX);
            let x = area.x.saturating_add(end).min(area.right().saturating_sub(1));
            frame.set_cursor_position(Position::new(x, area.y));
            line
        }
        (Mode::Ask(question), _) => Line::raw(format!("{} (y/n)", question.text)),
        (_, Some(note)) if note.is_error => Line::styled(&*note.text, look.paint(Color::Red)),
        (_, Some(note)) => Line::raw(&*note.text),
        (Mode::Browse | Mode::Help, None) => Line::raw(keys(area.width.into())),
    };
    frame.render_widget(line, area);
}

/// The keys that fit; help and quit always stay.
fn keys(width: usize) -> String {
    let upto = |most: u8| {
        let shown = KEYS.iter().filter(|(_, rank)| *rank <= most).map(|(key, _)| *key);
        shown.collect::<Vec<_>>().join("  ")
    };
    (1..=7).rev().map(upto).find(|line| line.len() <= width).unwrap_or_else(|| upto(0))
}

fn draw_help(frame: &mut Frame<'_>) {
    let screen = frame.area();
    let width = HELP.iter().map(|line| line.len()).max().unwrap_or_default() + 4;
    let height = u16::try_from(HELP.len()).unwrap_or(u16::MAX).saturating_add(2);
    let area = screen.centered(
        Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)),
        Constraint::Length(height),
    );
    let area = area.intersection(screen);
    frame.render_widget(Clear, area);
    let lines: Vec<Line<'_>> = HELP.iter().map(|line| Line::raw(format!(" {line}"))).collect();
    let block = Block::bordered().title("help").title_bottom("any key closes this");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_and_quit_stay_in_the_footer() {
        assert!(keys(80).contains("b base"), "there is room for all");
        assert_eq!(keys(30), "? help  c continue  q quit");
        assert_eq!(keys(5), "? help  q quit");
    }
}
