"""Shows messages as Slack would, as far as our blocks need it: one page, no script, no network."""

import base64
import re
from html import escape, unescape
from typing import Any

CSS = """
* { box-sizing: border-box; margin: 0 }
body { font: 15px/1.46668 Lato, 'Helvetica Neue', 'DejaVu Sans', sans-serif; color: #1d1c1d;
  background: #fff; padding: 16px 20px; width: 760px }
.message { display: flex; gap: 10px; padding: 6px 0 10px }
.face { width: 36px; height: 36px; border-radius: 6px; background: #1a202c; color: #fff;
  flex: none; font-weight: 900; text-align: center; line-height: 36px }
.body { flex: 1; min-width: 0 }
.who { font-weight: 900 } .who small { font-weight: 400; color: #616061; font-size: 12px }
.who i { font: 700 10px/1 sans-serif; color: #616061; background: #ececec; border-radius: 2px;
  padding: 2px 4px; margin: 0 4px; vertical-align: 2px }
.header { font-size: 18px; font-weight: 900; margin: 4px 0 }
.attachment { border-left: 4px solid; border-radius: 4px; padding: 2px 0 2px 12px; margin-top: 6px }
.section { margin: 6px 0; white-space: pre-wrap; overflow-wrap: anywhere; display: flow-root }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; margin: 8px 0 }
.context { color: #616061; font-size: 12.5px; margin: 6px 0 } .context span { margin-right: 12px }
code { font: 12px/1.5 Menlo, 'DejaVu Sans Mono', monospace; color: #c01343; background: #f6f6f6;
  border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px; overflow-wrap: anywhere }
pre { font: 12px/1.5 Menlo, 'DejaVu Sans Mono', monospace; background: #f6f6f6; padding: 8px;
  border: 1px solid #ddd; border-radius: 4px; white-space: pre; overflow: hidden }
.actions { display: flex; flex-wrap: wrap; gap: 8px; margin: 10px 0 6px }
.button { border: 1px solid #bbb; border-radius: 4px; padding: 5px 12px; font-weight: 700;
  font-size: 13px; background: #fff }
.primary { background: #007a5a; border-color: #007a5a; color: #fff }
.menu { float: right; border: 1px solid #bbb; border-radius: 4px; padding: 0 8px; font-weight: 900 }
.thread { margin-left: 46px; border-left: 2px solid #eee; padding-left: 12px }
.label { font-weight: 700; margin-top: 10px }
.input { border: 1px solid #bbb; border-radius: 4px; padding: 7px 10px; color: #616061;
  margin: 4px 0 }
.modal { border: 1px solid #ccc; border-radius: 8px; box-shadow: 0 4px 24px #0003; width: 560px;
  margin: 10px auto; padding: 18px 24px }
.modal h1 { font-size: 20px; padding-bottom: 10px }
.modal footer { text-align: right; padding-top: 14px } .modal footer .button { margin-left: 8px }
img { max-width: 560px; border: 1px solid #ddd; border-radius: 8px; margin-top: 4px }
hr { border: 0; border-top: 1px solid #eee; margin: 14px 0 }
"""


def page(*parts: str) -> str:
    """A whole page."""
    return f"<!doctype html><meta charset=utf-8><style>{CSS}</style>{''.join(parts)}"


def message(shown: dict[str, Any], when: str, replies: str = "") -> str:
    """One message of the bot, and the thread below it."""
    inner = "".join(map(_block, shown.get("blocks", ())))
    for each in shown.get("attachments", ()):
        blocks = "".join(map(_block, each["blocks"]))
        inner += f'<div class=attachment style="border-color:{each["color"]}">{blocks}</div>'
    for picture in shown.get("pictures", ()):
        data = base64.b64encode(picture).decode()
        inner += f"<div class=context>{_plain(shown['title'])}</div>"
        inner += f'<img src="data:image/png;base64,{data}">'
    thread = f"<div class=thread>{replies}</div>" if replies else ""
    who = f"<div class=who>Tripmeter<i>APP</i><small>{escape(when)}</small></div>"
    body = f"<div class=body>{who}{inner}</div>"
    return f"<div class=message><div class=face>T</div>{body}</div>{thread}"


def modal(view: dict[str, Any]) -> str:
    """A form."""
    inner = "".join(map(_block, view["blocks"]))
    buttons = f"<span class=button>{_text(view['close'])}</span>"
    if "submit" in view:
        buttons += f'<span class="button primary">{_text(view["submit"])}</span>'
    title = f"<h1>{_text(view['title'])}</h1>"
    return f"<div class=modal>{title}{inner}<footer>{buttons}</footer></div>"


def _block(block: dict[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<div class=header>{_text(block['text'])}</div>"
        case "section" if "fields" in block:
            fields = "".join(f"<div>{_text(field)}</div>" for field in block["fields"])
            return f"<div class=fields>{fields}</div>"
        case "section":
            menu = "<span class=menu>⋯</span>" if "accessory" in block else ""
            return f"<div class=section>{menu}{_text(block['text'])}</div>"
        case "context":
            notes = "".join(f"<span>{_text(each)}</span>" for each in block["elements"])
            return f"<div class=context>{notes}</div>"
        case "actions":
            buttons = "".join(
                f'<span class="button {each.get("style", "")}">{_text(each["text"])}</span>'
                for each in block["elements"]
            )
            return f"<div class=actions>{buttons}</div>"
        case "input":
            element = block["element"]
            chosen = element.get("initial_option", {}).get("text", {}).get("text", "")
            optional = " (optional)" if block.get("optional") else ""
            hint = f"<div class=context>{_text(block['hint'])}</div>" if "hint" in block else ""
            label = f"<div class=label>{_text(block['label'])}{optional}</div>"
            return f"{label}<div class=input>{escape(chosen) or '&nbsp;'}</div>{hint}"
    raise ValueError(f"no such block here: {block['type']}")


def _text(text: dict[str, Any]) -> str:
    return _marked(text["text"]) if text["type"] == "mrkdwn" else _plain(text["text"])


def _plain(text: str) -> str:
    return escape(unescape(text)).replace("\n", "<br>")


def _marked(text: str) -> str:
    parts = re.split(r"(```.*?```|`[^`\n]+`)", text, flags=re.S)
    return "".join(_part(part) for part in parts)


def _part(part: str) -> str:
    if part.startswith("```"):
        return f"<pre>{escape(unescape(part[3:-3].strip()))}</pre>"
    if part.startswith("`"):
        return f"<code>{escape(unescape(part[1:-1]))}</code>"
    return re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", _plain(part))
