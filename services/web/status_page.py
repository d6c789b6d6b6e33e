"""The citizen's page: where a case stands, by the receipt alone. It names nobody, needs no login and no JavaScript.

Where the office is off line it says so, and since when: what it says then may be out of date. Where the views lag behind the
journal nothing is said of the case at all.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import segno
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from events.calendar import CALENDAR_V1
from events.envelope import Event
from events.offices import office_of_code
from events.outage import OUTAGE_CAUSES
from events.problem import Problem
from events.receipt import office_of, parse_receipt
from events.stages import ORDER, Stage
from infra.journal import Journal
from services.access import requires
from services.office_outages import office_outages
from services.question_service import Questions
from services.questions import AskStatus
from services.rate_limits import limited
from services.web.language import lang_of
from services.web.live import Live
from services.web.page import page
from services.web.problem_page import wants_json
