//! Captions in Russian. What is seen is in the nominative; adjectives agree in gender and number.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::clauses::{CellWords, DriveWords, Grouped, fill, in_order, listed, one, shuffled};
use super::fact::{Bend, DoseLevel, Ground, MotionKind, Pace, Place, Side};

/// The mood of a text's verbs.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    /// «иди вперёд».
    Order,
    /// «идём вперёд».
    Doing,
    /// «движение вперёд».
    Noun,
}

/// Gender or number.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Masculine,
    Feminine,
    Plural,
}

/// The nominative of an adjective, from its dictionary form.
fn adjective(dictionary: &str, form: Form) -> String {
    let stem = |end: &str| dictionary.strip_suffix(end);
    let (stem, feminine, plural) = match (stem("ий"), stem("ый"), stem("ой")) {
        // Soft: синий.
        (Some(stem), ..) => (stem, "яя", "ие"),
        (_, Some(stem), _) | (.., Some(stem)) => (stem, "ая", "ые"),
        _ => (dictionary, "", ""),
    };
    match form {
        Form::Masculine => dictionary.to_owned(),
        Form::Feminine => format!("{stem}{feminine}"),
        Form::Plural => format!("{stem}{plural}"),
    }
}

/// The colours of walls, in the palette's order.
const WALLS: [&[&str]; 5] = [
    &["красный", "красный", "терракотовый", "красноватый"],
    &["бирюзовый", "бирюзовый", "сине-зелёный"],
    &["жёлтый", "жёлтый", "песочный", "охристый"],
    &["фиолетовый", "фиолетовый", "лиловый", "сиреневый"],
    &["зелёный", "зелёный", "оливковый"],
];
/// The adjectives of the objects, in the palette's order, and what they are.
const OBJECTS: [(&[&str], Thing); 4] = [
    (&["красный", "красный", "алый"], PILLAR),
    (&["синий", "синий", "голубой"], BALL),
    (&["жёлтый", "жёлтый", "лимонный"], PILLAR),
    (&["розовый", "розовый", "малиновый"], BALL),
];

/// A kind of object: its nouns, and the verb for its being somewhere.
struct Thing {
    nouns: [(&'static str, Form); 2],
    rests: &'static str,
}

const PILLAR: Thing = Thing {
    nouns: [("столб", Form::Masculine), ("колонна", Form::Feminine)],
    rests: "{p} стоит {a} {n}",
};
const BALL: Thing = Thing {
    nouns: [("шар", Form::Masculine), ("мяч", Form::Masculine)],
    rests: "{p} лежит {a} {n}",
};

const TWO: [&str; 6] = [
    "{0}, потом {1}",
    "{0}, затем {1}",
    "сначала {0}, потом {1}",
    "сначала {0}, затем {1}",
    "{0}, а потом {1}",
    "{0}, после этого {1}",
];
const THREE: [&str; 4] = [
    "{0}, потом {1}, затем {2}",
    "сначала {0}, потом {1}, наконец {2}",
    "сначала {0}, затем {1}, а потом {2}",
    "{0}, затем {1}, а в конце {2}",
];

/// The text of some facts.
pub(super) fn text(facts: &Grouped, rng: &mut ChaCha8Rng) -> String {
    let motion = motion(&facts.motions, rng);
    let mut sights: Vec<String> = Vec::new();
    sights.extend(
        facts
            .walls
            .iter()
            .map(|(sides, colour)| wall(sides, *colour, rng)),
    );
    sights.extend(
        facts
            .objects
            .iter()
            .map(|(place, which)| object(*place, *which, rng)),
    );
    let sights = listed(&shuffled(sights, rng), "и", rng);
    for whole in [DRIVE.text(facts, rng), CELLS.text(facts, rng)] {
        if !whole.is_empty() {
            return whole;
        }
    }
    match (motion.is_empty(), sights.is_empty()) {
        (false, true) => motion,
        (true, _) => sights,
        _ if rng.random_bool(0.35) => format!("{sights}; {motion}"),
        _ => format!("{motion}; {sights}"),
    }
}

fn motion(kinds: &[MotionKind], rng: &mut ChaCha8Rng) -> String {
    let style = match rng.random_range(0..10) {
        0..5 => Style::Order,
        5..9 => Style::Doing,
        _ => Style::Noun,
    };
    let phases: Vec<String> = kinds
        .iter()
        .map(|&kind| one(verbs(kind, style), rng).to_owned())
        .collect();
    in_order(&phases, &TWO, &THREE, rng)
}

fn verbs(kind: MotionKind, style: Style) -> &'static [&'static str] {
    use MotionKind::*;
    use Style::*;
    match (kind, style) {
        (Still, Order) => &[
            "стой на месте",
            "не двигайся",
            "постой",
            "остановись",
            "подожди",
        ],
        (Still, Doing) => &["стоим на месте", "не двигаемся", "ждём", "стоим неподвижно"],
        (Still, Noun) => &["остановка", "пауза"],
        (Forward, Order) => &[
            "иди вперёд",
            "шагай вперёд",
            "двигайся прямо",
            "иди прямо",
            "ступай вперёд",
        ],
        (Forward, Doing) => &[
            "идём вперёд",
            "шагаем вперёд",
            "движемся прямо",
            "идём прямо",
        ],
        (Forward, Noun) => &["движение вперёд", "путь прямо", "несколько шагов вперёд"],
        (Back, Order) => &[
            "иди назад",
            "пяться",
            "отступай",
            "отойди назад",
            "двигайся назад",
        ],
        (Back, Doing) => &["идём назад", "пятимся", "отступаем", "движемся назад"],
        (Back, Noun) => &["движение назад", "несколько шагов назад"],
        (StrafeLeft, Order) => &[
            "шагай боком влево",
            "сместись влево",
            "двигайся боком влево",
            "отойди влево",
        ],
        (StrafeLeft, Doing) => &[
            "шагаем боком влево",
            "смещаемся влево",
            "движемся боком влево",
        ],
        (StrafeLeft, Noun) => &["смещение влево", "несколько шагов влево"],
        (StrafeRight, Order) => &[
            "шагай боком вправо",
            "сместись вправо",
            "двигайся боком вправо",
            "отойди вправо",
        ],
        (StrafeRight, Doing) => &[
            "шагаем боком вправо",
            "смещаемся вправо",
            "движемся боком вправо",
        ],
        (StrafeRight, Noun) => &["смещение вправо", "несколько шагов вправо"],
        (TurnLeft, Order) => &[
            "поверни налево",
            "повернись налево",
            "поворачивай влево",
            "повернись влево на месте",
        ],
        (TurnLeft, Doing) => &[
            "поворачиваем налево",
            "поворачиваемся влево",
            "поворачиваемся налево",
        ],
        (TurnLeft, Noun) => &["поворот налево", "поворот влево"],
        (TurnRight, Order) => &[
            "поверни направо",
            "повернись направо",
            "поворачивай вправо",
            "повернись вправо на месте",
        ],
        (TurnRight, Doing) => &[
            "поворачиваем направо",
            "поворачиваемся вправо",
            "поворачиваемся направо",
        ],
        (TurnRight, Noun) => &["поворот направо", "поворот вправо"],
        (ForwardLeft, Order) => &[
            "иди по дуге влево",
            "иди вперёд, забирая влево",
            "двигайся по дуге влево",
            "забирай влево",
        ],
        (ForwardLeft, Doing) => &[
            "идём по дуге влево",
            "идём вперёд, забирая влево",
            "движемся по дуге влево",
        ],
        (ForwardLeft, Noun) => &["движение по дуге влево", "дуга влево"],
        (ForwardRight, Order) => &[
            "иди по дуге вправо",
            "иди вперёд, забирая вправо",
            "двигайся по дуге вправо",
            "забирай вправо",
        ],
        (ForwardRight, Doing) => &[
            "идём по дуге вправо",
            "идём вперёд, забирая вправо",
            "движемся по дуге вправо",
        ],
        (ForwardRight, Noun) => &["движение по дуге вправо", "дуга вправо"],
    }
}

fn side(side: Side) -> &'static [&'static str] {
    match side {
        Side::Left => &["слева", "слева", "с левой стороны", "по левую руку"],
        Side::Ahead => &[
            "впереди",
            "впереди",
            "прямо впереди",
            "прямо по курсу",
            "посередине",
        ],
        Side::Right => &["справа", "справа", "с правой стороны", "по правую руку"],
    }
}

fn wall(sides: &[Side], colour: usize, rng: &mut ChaCha8Rng) -> String {
    let colour = one(WALLS[colour % WALLS.len()], rng);
    let (form, templates): (Form, &[&str]) = match sides {
        [only] => {
            let templates = [
                "{p} {a} стена",
                "{p} {a} стена",
                "{a} стена {p}",
                "{p} видна {a} стена",
                "стена {p} {a}",
            ];
            let place = one(side(*only), rng);
            return fill(
                one(&templates, rng),
                &adjective(colour, Form::Feminine),
                "",
                place,
            );
        }
        [Side::Left, Side::Right] => (
            Form::Plural,
            &[
                "по обе стороны {a} стены",
                "слева и справа {a} стены",
                "{a} стены с обеих сторон",
            ],
        ),
        [Side::Left, Side::Ahead] => (
            Form::Plural,
            &["впереди и слева {a} стены", "{a} стены впереди и слева"],
        ),
        [Side::Ahead, Side::Right] => (
            Form::Plural,
            &["впереди и справа {a} стены", "{a} стены впереди и справа"],
        ),
        _ => (
            Form::Plural,
            &[
                "везде {a} стены",
                "повсюду {a} стены",
                "кругом одни {a} стены",
            ],
        ),
    };
    fill(one(templates, rng), &adjective(colour, form), "", "")
}

fn object(place: Place, object: usize, rng: &mut ChaCha8Rng) -> String {
    let (colours, thing) = &OBJECTS[object % OBJECTS.len()];
    let (noun, form) = thing.nouns[rng.random_range(0..thing.nouns.len())];
    let adjective = adjective(one(colours, rng), form);
    let [seen, seen_there] = match form {
        Form::Feminine => ["видна {a} {n}", "{p} видна {a} {n}"],
        Form::Masculine | Form::Plural => ["виден {a} {n}", "{p} виден {a} {n}"],
    };
    let template = match place {
        Place::At(_) => one(
            &[
                "{p} {a} {n}",
                "{p} {a} {n}",
                "{a} {n} {p}",
                seen_there,
                thing.rests,
            ],
            rng,
        ),
        Place::Seen => one(
            &[
                seen,
                "в кадре {a} {n}",
                "{a} {n} в поле зрения",
                "на глаза попадается {a} {n}",
            ],
            rng,
        ),
    };
    let place = match place {
        Place::At(at) => one(side(at), rng),
        Place::Seen => "",
    };
    fill(template, &adjective, noun, place)
}

const DRIVE: DriveWords = DriveWords {
    two: &TWO,
    three: &THREE,
    course,
    speed,
    surface,
};

fn course(bend: Bend) -> &'static [&'static str] {
    match bend {
        Bend::Straight => &["прямая дорога", "дорога идёт прямо", "прямой участок"],
        Bend::Left => &[
            "левый поворот",
            "дорога сворачивает налево",
            "поворот налево",
            "дорога уходит влево",
        ],
        Bend::Right => &[
            "правый поворот",
            "дорога сворачивает направо",
            "поворот направо",
            "дорога уходит вправо",
        ],
    }
}

fn speed(pace: Pace) -> &'static [&'static str] {
    match pace {
        Pace::Standing => &["машина стоит", "стоим на месте", "машина неподвижна"],
        Pace::Slow => &[
            "медленно",
            "на малой скорости",
            "машина едет медленно",
            "едем не спеша",
        ],
        Pace::Fast => &[
            "быстро",
            "на большой скорости",
            "машина мчится",
            "едем быстро",
        ],
        Pace::Faster => &[
            "машина разгоняется",
            "разгоняемся",
            "всё быстрее",
            "прибавляем скорость",
        ],
        Pace::Slower => &[
            "машина тормозит",
            "тормозим",
            "всё медленнее",
            "сбавляем скорость",
        ],
    }
}

fn surface(ground: Ground) -> &'static [&'static str] {
    match ground {
        Ground::Road => &["по дороге", "машина на дороге", "по трассе"],
        Ground::Grass => &[
            "по траве",
            "вне дороги",
            "машина на траве",
            "в стороне от дороги",
        ],
        Ground::Leaving => &[
            "машина съезжает с дороги",
            "съезжаем на траву",
            "с дороги на траву",
        ],
        Ground::Returning => &[
            "машина возвращается на дорогу",
            "выезжаем обратно на дорогу",
            "с травы на дорогу",
        ],
    }
}

const CELLS: CellWords = CellWords {
    dose,
    effects: [
        &[
            "микротрубочки распались",
            "микротрубочек почти не осталось",
            "сеть микротрубочек разрушена",
            "тубулин рассеян",
        ],
        &[
            "толстые пучки микротрубочек",
            "микротрубочки собраны в пучки",
            "плотные пучки микротрубочек",
        ],
        &[
            "актин разрушен",
            "нет стресс-фибрилл, рваные края",
            "актиновый скелет распался",
        ],
        &[
            "крупные ядра с яркими фокусами",
            "ядра набухли, в них много фокусов",
            "ДНК повреждена, яркие точки в ядре",
        ],
        &[
            "бледные актин и тубулин, маленькие ядра",
            "тусклые клетки с маленькими ядрами",
            "мало белка, гладкие маленькие ядра",
        ],
        &[
            "дольчатые ядра",
            "ядра из нескольких долей",
            "крупные ядра распадаются на доли",
        ],
        &["много везикул", "полно везикул", "повсюду яркие везикулы"],
        &[
            "распластаны широко, много стресс-фибрилл",
            "крупные плоские клетки со стресс-фибриллами",
            "сильно распластаны, толстая кора",
        ],
    ],
    counts: [
        &["одна клетка", "одиночная клетка", "единственная клетка"],
        &["две клетки", "пара клеток", "клетка с соседкой"],
        &[
            "три клетки",
            "группа из трёх клеток",
            "клетка с двумя соседками",
        ],
    ],
};

fn dose(dose: DoseLevel) -> &'static [&'static str] {
    match dose {
        DoseLevel::None => &["контроль", "без препарата", "без обработки"],
        DoseLevel::Low => &["малая доза", "низкая доза", "слабая обработка"],
        DoseLevel::Medium => &["средняя доза", "умеренная доза", "умеренная обработка"],
        DoseLevel::High => &["высокая доза", "большая доза", "сильная обработка"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjectives_agree() {
        let all = |word| {
            [Form::Masculine, Form::Feminine, Form::Plural].map(|form| adjective(word, form))
        };
        assert_eq!(all("красный"), ["красный", "красная", "красные"]);
        assert_eq!(all("синий"), ["синий", "синяя", "синие"]);
        assert_eq!(all("голубой"), ["голубой", "голубая", "голубые"]);
        assert_eq!(all("сплошной"), ["сплошной", "сплошная", "сплошные"]);
    }
}
